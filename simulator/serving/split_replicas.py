"""Replicas of a split deployment: some compute prompts, others answer them."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from simulator.serving.fullest import Planned
from simulator.serving.group import Group
from simulator.serving.ledger import DONE, NEVER
from simulator.serving.left import Left
from simulator.serving.replica import Replica
from simulator.serving.transfers import Transfers


class Prompt(NamedTuple):
    """A prompt that a group of a prefill replica, the `source`, has computed at `ready_s`, after it began at `began_s`;
    the last token before, where there is one, was out at `last_token_s` [s]. `let_go` frees its blocks there; `is_lost`
    says whether they are gone."""

    request: int
    began_s: float
    ready_s: float
    last_token_s: float
    source: tuple[int, int]
    let_go: Callable[[float], None]
    is_lost: Callable[[], bool]


class PrefillReplica(Replica):
    """Computes prompts and holds their cache until another replica has it."""

    def __init__(self, **replica: Any) -> None:  # noqa: ANN401 (as Replica's own)
        super().__init__(**replica)
        self._since_s: dict[int, float] = {}  # of those that came again
        self._prompts: list[Prompt] = []

    def take_prompts(self) -> list[Prompt]:
        """Return the prompts that were computed since the last call."""
        prompts, self._prompts = self._prompts, []
        return prompts

    def take_ended(self) -> list[int]:
        """Return the requests that have ended here since the last call: answers of one token."""
        return [request for request in super().take_ended() if self._ledger.state[request] == DONE]

    def why_never(self, request: int) -> str:
        """Return why a prompt can never be computed here, or nothing: its answer needs no room."""
        ledger, room = self._ledger, self.groups[0].admission.room_tokens
        tokens = ledger.prompt_tokens[request] + ledger.emitted[request]
        return (
            f"{tokens} prompt tokens exceed the KV room of {room} tokens of a prefill replica" if tokens > room else ""
        )

    def submit(self, request: int, *, again: Left | None = None) -> None:
        """As `Replica.submit`."""
        if again:
            self._since_s[request] = again.since_s
        super().submit(request, again=again)

    def _first_token(self, group: Group, request: int) -> None:
        ledger = self._ledger
        began_s = self._since_s.pop(request, ledger.admitted_s[request])
        if ledger.output_tokens[request] - ledger.emitted[request] <= 1:
            super()._first_token(group, request)
            return
        own = group.admission.hold(request)
        self._n_open -= 1
        self._prompts.append(Prompt(
            request=request, began_s=began_s, ready_s=self.now_s, source=(self.number, group.index),
            last_token_s=group.admission.preempted_s.pop(request, NEVER),
            let_go=partial(self._let_go_at, group, request, own),
            is_lost=lambda: self.halted or self.groups[group.index] is not group,
        ))  # fmt: skip
        self._ended.append(request)

    def _let_go_at(self, group: Group, request: int, own: int, time_s: float) -> None:
        def let_go() -> None:
            group.admission.give_back(request, own)
            self._awake.add(group.index)

        self.agenda.at(time_s, let_go)


class DecodeReplica(Replica):
    """Answers prompts that others have computed, as soon as it has room and their cache."""

    def __init__(self, transfers: Transfers, **replica: Any) -> None:  # noqa: ANN401 (as Replica's own)
        super().__init__(**replica)
        self._transfers = transfers
        self._coming: dict[int, Prompt] = {}
        self._just_come: dict[int, float] = {}
        self._arrived: list[Callable[[], None]] = []  # while an iteration runs
        self._on_the_way: dict[int, Prompt] = {}
        self._without_prompt: list[Left] = []

    def take_those_without_prompt(self) -> list[Left]:
        """Return the requests since the last call whose prompt was lost before it could be fetched."""
        left, self._without_prompt = self._without_prompt, []
        return left

    def expect(self, prompt: Prompt, from_s: float) -> None:
        """A prompt is meant for this replica from `from_s` [s] on, the end of its computation or later."""
        self.agenda.at(from_s, partial(self._queue, prompt, from_s))

    def leave_out(self, indices: Iterable[int]) -> list[Left]:
        """As `Replica.leave_out`; the prompts that were meant for them are let go."""
        left = super().leave_out(indices)
        for one in left:
            self._on_the_way.pop(one.request, None)
            if prompt := self._coming.pop(one.request, None):
                prompt.let_go(self.now_s)
        return left

    def _queue(self, prompt: Prompt, from_s: float) -> None:
        ledger, request = self._ledger, prompt.request
        ledger.replica[request] = self.number
        self._coming[request] = prompt
        self._just_come[request] = from_s
        admission = self._open(request, prompt.ready_s).admission
        if ledger.emitted[request]:
            admission.preempted_s[request] = prompt.last_token_s
        admission.away.expect(request, ledger.prompt_tokens[request] + ledger.emitted[request])
        admission.waiting.push_back(request)  # it was known before, so it is in sight

    def _plan(self) -> Planned:
        arrived, self._arrived = self._arrived, []
        for join in arrived:
            join()
        planned = super()._plan()
        for group in [group for group in self.groups if group.admission.away.fetched]:
            for request, cached in group.admission.away.fetched:
                self._fetch(group, request, cached)
            group.admission.away.fetched.clear()
            self._settle(group)
        self._just_come.clear()
        return planned

    def _fetch(self, group: Group, request: int, cached: int) -> None:
        prompt = self._coming.pop(request)
        if prompt.is_lost():
            prompt.let_go(self.now_s)  # where other groups of the replica are left
            group.admission.free(request, group.admission.blocks.of(cached))
            self._n_open -= 1
            self._without_prompt.append(Left(request, self.now_s, group.admission.preempted_s.pop(request, NEVER)))
            return
        end_s = self._transfers.start(
            prompt.source, (self.number, group.index), cached, ready_s=prompt.ready_s,
            room_s=self._just_come.get(request, self.now_s),
            computing_s=prompt.ready_s - prompt.began_s,
        )  # fmt: skip
        prompt.let_go(end_s)
        self._on_the_way[request] = prompt
        arrive = partial(self._arrive, group, prompt, cached, end_s)
        if end_s <= self.now_s:
            arrive()
        else:
            self.agenda.at(end_s, arrive)

    def _arrive(self, group: Group, prompt: Prompt, cached: int, end_s: float) -> None:
        """The cache is here, and with it one more token; it decodes from the next iteration on."""
        if self._iterations.left:
            self._arrived.append(partial(self._arrive, group, prompt, cached, end_s))
            return
        ledger, request, admission = self._ledger, prompt.request, group.admission
        if self.halted or self._on_the_way.get(request) is not prompt:
            return  # it finds nobody
        del self._on_the_way[request]
        group.follow(self._decode_steps)
        if ledger.emitted[request] == 0:
            ledger.first_token_s[request] = end_s
        else:
            self.record.step_log.odd_gap(end_s - admission.preempted_s.pop(request), 1)
        ledger.emitted[request] += 1
        admission.join(request, cached)
        group.plan_end(request)
        group.stalled.append((end_s, 1))
        self._awake.add(group.index)
