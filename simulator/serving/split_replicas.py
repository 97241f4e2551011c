"""Replicas of a split deployment: some compute prompts, others answer them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from simulator.serving.fullest import Planned
from simulator.serving.group import Group
from simulator.serving.ledger import DONE
from simulator.serving.replica import Replica
from simulator.serving.transfers import Transfers


class Prompt(NamedTuple):
    """A prompt that a group of a prefill replica has computed at `ready_s`, after it began at `began_s` [s]; `let_go`
    frees its blocks there."""

    request: int
    began_s: float
    ready_s: float
    source: tuple[int, int]
    let_go: Callable[[float], None]


class PrefillReplica(Replica):
    """Computes prompts and holds their cache until another replica has it. Number `index` of all."""

    def __init__(self, index: int, **replica: Any) -> None:  # noqa: ANN401 (as Replica's own)
        super().__init__(**replica)
        self.index = index
        self.stops_at_ends = True
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
        tokens, room = self._ledger.prompt_tokens[request], self.groups[0].admission.room_tokens
        return (
            f"{tokens} prompt tokens exceed the KV room of {room} tokens of a prefill replica" if tokens > room else ""
        )

    def _first_token(self, group: Group, request: int) -> None:
        ledger = self._ledger
        if ledger.output_tokens[request] <= 1:
            super()._first_token(group, request)
            return
        own = group.admission.hold(request)
        self._n_open -= 1
        self._prompts.append(Prompt(
            request=request, began_s=ledger.admitted_s[request], ready_s=self.now_s, source=(self.index, group.index),
            let_go=partial(self._let_go_at, group, request, own),
        ))  # fmt: skip
        self._ended.append(request)

    def _let_go_at(self, group: Group, request: int, own: int, time_s: float) -> None:
        def let_go() -> None:
            group.admission.give_back(request, own)
            self._awake.add(group.index)

        self.agenda.at(time_s, let_go)


class DecodeReplica(Replica):
    """Answers prompts that others have computed, as soon as it has room and their cache. Number `index` of all."""

    def __init__(self, index: int, transfers: Transfers, **replica: Any) -> None:  # noqa: ANN401 (as Replica's own)
        super().__init__(**replica)
        self.index = index
        self.stops_at_ends = True
        self._transfers = transfers
        self._coming: dict[int, Prompt] = {}
        self._just_come: set[int] = set()

    def expect(self, prompt: Prompt) -> None:
        """A prompt is meant for this replica from the end of its computation on."""
        self.agenda.at(prompt.ready_s, partial(self._queue, prompt))

    def _queue(self, prompt: Prompt) -> None:
        self._ledger.replica[prompt.request] = self.index
        self._coming[prompt.request] = prompt
        self._just_come.add(prompt.request)
        admission = self._open(prompt.request, prompt.ready_s).admission
        admission.away.expect(prompt.request, self._ledger.prompt_tokens[prompt.request])
        admission.waiting.push_back(prompt.request)  # it was known before, so it is in sight

    def _plan(self) -> Planned:
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
        end_s = self._transfers.start(
            prompt.source, (self.index, group.index), cached, ready_s=prompt.ready_s,
            room_s=prompt.ready_s if request in self._just_come else self.now_s,
            computing_s=prompt.ready_s - prompt.began_s,
        )  # fmt: skip
        prompt.let_go(end_s)
        if end_s <= self.now_s:
            self._arrive(group, request, cached, end_s)
        else:
            self.agenda.at(end_s, partial(self._arrive, group, request, cached, end_s))

    def _arrive(self, group: Group, request: int, cached: int, end_s: float) -> None:
        """The cache is here, and with it the first token."""
        ledger = self._ledger
        group.follow(self._decode_steps)
        ledger.first_token_s[request] = end_s
        ledger.emitted[request] = 1
        group.admission.join(request, cached)
        group.plan_end(request)
        group.stalled.append((end_s, 1))
        self._awake.add(group.index)
