"""One replica: attention groups that step together, each with its own scheduler and KV cache.

A step takes decodes, chunks of prompts, or both, of every group, and waits for the fullest. Between two events (an
arrival, an end, a block too many) steps of decodes only grow evenly, so a run of them is taken at once: no work per
request and step, none per step either, and only the groups to which something happens are looked at.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from math import isnan

from simulator.serving.agenda import Agenda
from simulator.serving.due import DueGroups
from simulator.serving.fullest import Planned, fullest_of_decodes, fullest_with_prompts
from simulator.serving.group import Group, prefills_of
from simulator.serving.group_loads import group_loads
from simulator.serving.groups import Groups
from simulator.serving.growth import Plain, Speculation
from simulator.serving.iterations import Iterations
from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import Ledger
from simulator.serving.left import Left
from simulator.serving.record import Record
from simulator.serving.router import Route, make_route
from simulator.serving.stalled import StalledGroups
from simulator.serving.step_times import Chunk, DecodeLines, StepBatch
from simulator.serving.surcharges import NO_SURCHARGES, ReplicaSurcharges

_LOOKS = 3  # after which a scheduler knows all that has ended, also an asynchronous one


class Replica(Groups):
    """A replica at the end of a step, `now_s`. `submit` requests in order of arrival, `advance` in between."""

    def __init__(
        self, *, ledger: Ledger, knobs: BackendKnobs, step_times: DecodeLines, n_groups: int, kv_blocks: int,
        law: Plain | Speculation, swap_s_per_token: float = 0.0, number: int = 0,
        surcharges: ReplicaSurcharges | None = None,
    ) -> None:  # fmt: skip
        """`kv_blocks`: of each of the `n_groups` attention groups. `law`: how requests grow. `number`: its own."""
        self.number = number
        self.now_s = 0.0
        self.n_done = 0
        self.stops_at_ends = False
        self.record = Record()
        self.agenda = Agenda()
        self._new_group = partial(Group, ledger=ledger, knobs=knobs, kv_blocks=kv_blocks, law=law)
        super().__init__([self._new_group(index) for index in range(n_groups)])
        self._ledger = ledger
        self._knobs = knobs
        self.step_times = step_times
        self._queries = law.queries
        self._swap_s_per_token = swap_s_per_token
        self._surcharges = surcharges or NO_SURCHARGES.of(seed=0, number=number)
        self._iterations = Iterations(knobs)
        self.use_groups(range(n_groups))
        self._loads = group_loads(n_groups)
        self._decode_steps = self._n_open = 0
        self._step_alone = False  # whether the next step is unlike those after it
        self._stuck = False  # whether nothing can run before something is submitted or happens
        self.halted = False  # whether nothing runs whatever comes
        self.in_service = True  # whether a router sends requests here
        self._awake: set[int] = set()
        self._stalled = StalledGroups(self.groups)
        self._due = DueGroups(n_groups)
        self._ended: list[int] = []

    @property
    def next_s(self) -> float:
        """When something can happen here next, a step or what is on the agenda; inf where only others can see to it."""
        runs = (self._n_open or self._iterations.left) and not self._stuck and not self.halted
        return self.now_s if runs else max(self.now_s, self.agenda.next_s)

    def take_ended(self) -> list[int]:
        """Return the requests that have ended since the last call, where `stops_at_ends`."""
        ended, self._ended = self._ended, []
        return ended

    def submit(self, request: int, *, again: Left | None = None) -> None:
        """Queue a request that arrives, or comes `again` from another replica, now or later than every step so far has
        started; or reject it with a reason."""
        if reason := self.why_never(request):
            self._ledger.reject(request, reason)
            return
        group = self._open(request, again.since_s if again else self._ledger.arrival_s[request])
        if again and self._ledger.emitted[request]:
            group.admission.preempted_s[request] = again.last_token_s
        group.admission.waiting.push(request)

    def use_groups(self, indices: Sequence[int]) -> None:
        """Let groups of these indices take the requests from now on."""
        groups = self.groups if len(indices) == len(self.groups) else [self.groups[i] for i in indices]
        route = make_route(self._knobs.group_router, groups, self._ledger.prompt_tokens)
        self._group_of: Route = lambda request: indices[route(request)]

    def leave_out(self, indices: Iterable[int]) -> list[Left]:
        """Take every request out of the groups of these indices, which lose their caches, and return them."""
        left: list[Left] = []
        for index in indices:
            old = self.groups[index]
            old.follow(self._decode_steps)
            old.end_iteration()
            left += [Left(request, self.now_s, token_s) for request, token_s in old.admission.left(self.now_s)]
            new = self.groups[index] = self._new_group(index, seen=self._decode_steps)
            self._settle(new)
        self._n_open -= len(left)
        if not self._loads.n:
            self._iterations.stop()
        return left

    def _open(self, request: int, since_s: float) -> Group:
        """Take a request that is here since `since_s` [s] and return the group that answers it."""
        if self._stuck or not self._n_open:
            self._wake(since_s)
        self._n_open += 1
        self.record.present_s += self.now_s - since_s
        self._awake.add(index := self._group_of(request))
        return self.groups[index]

    def advance(self, until_s: float) -> None:
        """Run every step that starts before `until_s`, or up to the end of a request where `stops_at_ends`."""
        looks = 0
        while self.next_s < until_s:
            self._wake(self.next_s)
            if self.agenda.happens(self.now_s):
                looks = 0
            if self.halted:
                continue
            planned, looks = [] if self._iterations.left else self._plan(), looks + 1
            if planned or self._loads.n:
                looks = 0
                if planned:
                    self._step_with_prompts(planned)
                else:
                    self._run_of_decodes(min(until_s, self.agenda.next_s))
            else:
                self._stuck = looks >= _LOOKS or not self._awake
            if self.now_s >= self.record.next_sample_s:
                self._sample()
            if self.stops_at_ends and self._ended:
                return
        if not self._n_open and self._awake and not self._iterations.left:
            self._plan()  # nobody is left: what ended last is noticed now

    def _wake(self, time_s: float) -> None:
        """Nothing could run until `time_s` [s], if that is yet to come: look again then."""
        if time_s > self.now_s:
            self.record.idle(time_s - self.now_s, n_present=self._n_open)
            self.now_s = time_s
        self._stuck = False

    def close(self) -> None:
        """Take the last sample."""
        self.advance(self.now_s)
        self._sample()

    def _plan(self) -> Planned:
        """Look at the groups that are awake: who enters, who must go, and the chunks of prompts in the next step."""
        found: list[tuple[Group, list[Chunk]]] = []
        self._step_alone = False
        for index in sorted(self._awake) if len(self._awake) > 1 else tuple(self._awake):
            group = self.groups[index]
            group.follow(self._decode_steps)
            chunks = group.plan(self.now_s)
            if chunks:
                found.append((group, chunks))
            self._step_alone |= group.admission.may_change or group.admission.moved_tokens > 0
            self._settle(group)
        return found

    def _settle(self, group: Group) -> None:
        """Take a group as it stands now."""
        group.settle()
        self._loads.put(group)
        self._due.put(group)
        (self._awake.discard if group.asleep else self._awake.add)(group.index)
        self._stalled.put(group)

    def _sample(self) -> None:
        for group in self.groups:
            group.follow(self._decode_steps)
        total = len(self.groups) * self.groups[0].admission.blocks.total
        self.record.sample(
            self.now_s, running=self.n_running, waiting=self.n_waiting, kv_used_share=self.used_blocks / total
        )

    def _step_with_prompts(self, planned: Planned) -> None:
        """One step with prompts in it; the decodes of their groups take part where steps are mixed, else they wait."""
        start_s, mixed, loads = self.now_s, self._knobs.mixed_steps, self._loads
        sitting = () if mixed else tuple(group for group, _ in planned)
        n = loads.n - sum(group.admission.decodes.n for group in sitting)
        context = loads.context - sum(group.admission.decodes.context for group in sitting)
        fullest, longest = fullest_with_prompts(self.groups, planned, queries=self._queries, decodes=mixed)
        batch = StepBatch(
            n_decode=n, decode_context_tokens=round(context) if n else 0,
            prefills=tuple(prefill for _, chunks in planned for prefill in prefills_of(chunks)),
            longest_decode_tokens=longest if n else 0, fullest=fullest,
        )  # fmt: skip
        n_running = self.n_running if self._iterations.counts else 0
        gpu_s = self.step_times.seconds(batch) + self._surcharges.with_prompts_s(n, batch.prefill_tokens)
        waits_s = self._swapping_s() + self._surcharges.waits_s(self.record.n_steps)
        step_s = self._iterations.lone_step_s(gpu_s, n_running) + waits_s
        self._stalled.take_part(self.record.step_log, start_s, step_s, sitting)
        for group in sitting:
            self._stalled.sit_out(group, start_s)
        self.now_s += self.record.steps(
            start_s, step_s=step_s, n_decode=n, prefill_tokens=batch.prefill_tokens, n_present=self._n_open
        )
        if n:
            for group in sitting:
                group.sit_out()
            self._decoded(1)
        for group, chunks in planned:
            self._computed(group, chunks, start_s)

    def _computed(self, group: Group, chunks: Sequence[Chunk], start_s: float) -> None:
        """The chunks of a group in the step from `start_s` [s] on are computed."""
        ledger = self._ledger
        group.follow(self._decode_steps)
        for chunk in chunks:
            if isnan(ledger.admitted_s[chunk.request]):
                ledger.admitted_s[chunk.request] = start_s
            if group.admission.computed(chunk):
                self._first_token(group, chunk.request)
        self._settle(group)
        self._awake.add(group.index)  # the next step's budget is whole again

    def _swapping_s(self) -> float:
        """Seconds to move the caches of preempted requests since the last step: groups do so side by side."""
        return self.take_moved_tokens() * self._swap_s_per_token if self._knobs.preemption == "swap" else 0.0

    def _first_token(self, group: Group, request: int) -> None:
        """A prompt, or a preempted request's tokens, are computed: one more token is out."""
        ledger, admission = self._ledger, group.admission
        if ledger.emitted[request] == 0:
            ledger.first_token_s[request] = self.now_s
        else:
            self.record.step_log.odd_gap(self.now_s - admission.preempted_s.pop(request), 1)
        ledger.emitted[request] += 1
        if ledger.emitted[request] >= ledger.output_tokens[request]:
            admission.finish_prompt(request)
            self._done(request)
            return
        admission.join_decodes(request)
        group.plan_end(request)
        if group.stalled:
            group.stalled.append((self.now_s, 1))

    def _done(self, request: int) -> None:
        self._ledger.emitted[request] = self._ledger.output_tokens[request]
        self._ledger.done(request, self.now_s)
        self.n_done += 1
        self._n_open -= 1
        if self.stops_at_ends:
            self._ended.append(request)

    def _run_of_decodes(self, until_s: float) -> None:
        """Steps of decodes only, up to the next event: a group that is due, `until_s`, the line's border."""
        loads, iterations, start_s = self._loads, self._iterations, self.now_s
        n, context, grows = loads.n, loads.context, loads.growth
        fullest, longest = fullest_of_decodes(self.groups, loads.fullest(), self._decode_steps)
        line = self.step_times.decode_line(n, round(context), longest, fullest)
        drawn = self._surcharges.decodes(n)
        at_s = line.at_s + line.s_per_token * (context - line.from_tokens) + drawn.mean_s
        growth_s = line.s_per_token * grows
        most = self._due.next_step() - self._decode_steps
        if line.until_tokens < context + (most - 1) * grows:
            most = max(1, int((line.until_tokens - context) // grows) + 1)
        first_s, most = iterations.decode_step_s(at_s, n, most)
        swapping_s, n_done = 0.0, self.record.n_steps
        if self._stalled or self._step_alone:
            swapping_s, most = self._swapping_s(), 1
        first_s, most = self._surcharges.run(
            first_s + swapping_s, growth_s, room_s=until_s - start_s, most=most, spread_s=drawn.spread_s, n_done=n_done
        )
        self._stalled.take_part(self.record.step_log, start_s, first_s)
        n_over = sum(len(self.groups[index].over) for index in iterations.due) if iterations.due else 0
        self.now_s += self.record.steps(
            start_s, n_steps=most, step_s=first_s, growth_s=growth_s, n_decode=n - n_over, n_over=n_over,
            n_present=self._n_open,
        )  # fmt: skip
        if iterations.several:
            iterations.ran(most, first_s - swapping_s - self._surcharges.waits_s(n_done), growth_s)
        self._decoded(most)

    def _decoded(self, n_steps: int) -> None:
        """Every group has decoded so many steps more: what is due happens."""
        self._decode_steps += n_steps
        self._loads.grow(n_steps)
        due, iterations = self._due.take(self._decode_steps), self._iterations
        if iterations.several:
            due = iterations.with_earlier(due)
        for index in due:
            group = self.groups[index]
            for request in group.follow(self._decode_steps):
                self._done(request)
            if not iterations.left:
                group.end_iteration()
            self._settle(group)
            self._awake.add(index)
