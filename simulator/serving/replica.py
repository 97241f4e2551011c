"""One replica: its scheduler and its KV cache, from step to step.

A step takes decodes, chunks of prompts, or both. Between two events (an arrival, an end, a block too many) steps of
decodes only grow evenly, so a run of them is taken at once: no work per request and step, none per step either.
"""

from heapq import heappop, heappush
from math import ceil, isnan, sqrt

from simulator.serving.admission import Admission, Chunk
from simulator.serving.gaps import StepLog
from simulator.serving.growth import Plain, Speculation
from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import DONE, REJECTED, Ledger
from simulator.serving.samples import Sample, Sampler
from simulator.serving.step_times import DecodeLines, StepBatch

_FOREVER = 1 << 60


class Replica:
    """A replica at the end of a step, `now_s`. `submit` requests in order of arrival, `advance` in between."""

    def __init__(
        self, *, ledger: Ledger, knobs: BackendKnobs, step_times: DecodeLines, n_groups: int, kv_blocks: int,
        law: Plain | Speculation, swap_s_per_token: float = 0.0,
    ) -> None:  # fmt: skip
        """`kv_blocks`: of one attention group; `n_groups` groups share the requests evenly. `law`: how they grow."""
        self.now_s = 0.0
        self.busy_s = 0.0
        self.n_steps = self.n_done = 0
        self.stops_at_ends = False
        self.step_log = StepLog()
        self.sampler = Sampler()
        self._ledger = ledger
        self._knobs = knobs
        self._times = step_times
        self._swap_s_per_token = swap_s_per_token
        self._admission = Admission(ledger=ledger, knobs=knobs, n_groups=n_groups, kv_blocks=kv_blocks, law=law)
        self._overhead_s = knobs.sampling_overhead_s + (0.0 if knobs.async_scheduling else knobs.scheduler_overhead_s)
        self._floor_s = knobs.scheduler_overhead_s if knobs.async_scheduling else 0.0
        self._ends: dict[int, list[int]] = {}
        self._next_ends: list[int] = []
        self._ended: list[int] = []
        self._last_tokens, self._last_s = 0, 0.0
        self._stalled: list[tuple[float, int]] = []  # (time of the last token, sequences): decodes behind prompts

    @property
    def n_waiting(self) -> int:
        """Requests that wait."""
        return len(self._admission.waiting)

    @property
    def n_running(self) -> int:
        """Requests that hold KV blocks."""
        return self._admission.n_running

    @property
    def used_blocks(self) -> int:
        """KV blocks of running requests, all attention groups together."""
        return self._admission.blocks.used

    @property
    def is_busy(self) -> bool:
        """Whether a request runs or waits."""
        return bool(self.n_running or self.n_waiting)

    def take_ended(self) -> list[int]:
        """Return the requests that have ended since the last call, where `stops_at_ends`."""
        ended, self._ended = self._ended, []
        return ended

    def cache_prefixes(self, hash_tokens: int) -> None:
        """Keep prompts by hashes of `hash_tokens` tokens each from now on."""
        self._admission.cache_prefixes(hash_tokens)

    def known_tokens(self, request: int) -> int:
        """Return the leading tokens of the prompt that the prefix cache holds."""
        return self._admission.hit_tokens(request)

    def submit(self, request: int) -> None:
        """Queue a request that arrives now or later than every step so far has started, or reject it with a reason."""
        if reason := self._admission.why_never(request):
            self._ledger.state[request] = REJECTED
            self._ledger.reasons[request] = reason
            return
        if not self.n_running and not self.n_waiting:
            self.now_s = max(self.now_s, self._ledger.arrival_s[request])
        self._admission.waiting.push(request)

    def advance(self, until_s: float) -> None:
        """Run every step that starts before `until_s`, or up to the end of a request where `stops_at_ends`."""
        admission, mixed = self._admission, self._knobs.mixed_steps
        while self.now_s < until_s and (admission.n_running or self.n_waiting):
            admission.may_change = False
            if mixed:
                self._make_room()
            chunks, back = admission.chunks(admit=not admission.may_change)
            for request in back:
                self._until_the_end(request)
                self._stalled.append((admission.preempted_s.pop(request), 1))
            if chunks:
                self._step_with_prompts(chunks)
            else:
                self._run_of_decodes(until_s)
            if self.now_s >= self.sampler.next_s:
                self._sample()
            if self.stops_at_ends and self._ended:
                return

    def _make_room(self) -> None:
        for request, last_step in self._admission.make_room(self.now_s):
            self._forget(request, last_step)

    def close(self) -> None:
        """Take the last sample."""
        self._sample()

    def _sample(self) -> None:
        blocks = self._admission.blocks
        self.sampler.add(Sample(
            time_s=self.now_s, running=self.n_running, waiting=self.n_waiting, kv_used_share=blocks.used / blocks.total,
            step_tokens=self._last_tokens, step_s=self._last_s, busy_s=self.busy_s,
        ))  # fmt: skip

    def _step_with_prompts(self, chunks: list[Chunk]) -> None:
        """One step with prompts in it; decodes take part where steps are mixed, else they wait."""
        admission, ledger, start_s = self._admission, self._ledger, self.now_s
        decoding = admission.n_decode if self._knobs.mixed_steps else 0
        batch = StepBatch(
            n_decode=decoding,
            decode_context_tokens=round(admission.decode_context) if decoding else 0,
            prefills=tuple((new, context) for _, new, context in chunks),
            longest_decode_tokens=admission.longest_decode if decoding else 0,
        )
        step_s = self._times.seconds(batch) + self._overhead_s + admission.n_running * self._knobs.sequence_overhead_s
        step_s = max(step_s, self._floor_s) + self._swapping_s()
        if decoding:
            self._unstall(start_s, step_s)
        elif admission.n_decode and not self._stalled:
            self._stalled = [(start_s, admission.n_decode)]
        self._note(start_s, n_steps=1, step_s=step_s, n_decode=decoding, prefill_tokens=batch.prefill_tokens)
        if decoding:
            self._decoded(1)
        for chunk in chunks:
            if isnan(ledger.admitted_s[chunk.request]):
                ledger.admitted_s[chunk.request] = start_s
            if admission.computed(chunk):
                self._first_token(chunk.request)

    def _swapping_s(self) -> float:
        """Seconds to move the caches of preempted requests, since the last step."""
        moved, self._admission.moved_tokens = self._admission.moved_tokens, 0
        return moved * self._swap_s_per_token

    def _first_token(self, request: int) -> None:
        """A prompt, or a preempted request's tokens, are computed: one more token is out."""
        ledger = self._ledger
        if ledger.emitted[request] == 0:
            ledger.first_token_s[request] = self.now_s
        else:
            self.step_log.odd_gap(self.now_s - self._admission.preempted_s.pop(request), 1)
        ledger.emitted[request] += 1
        if ledger.emitted[request] >= ledger.output_tokens[request]:
            self._admission.finish_prompt(request)
            self._done(request)
            return
        self._admission.join_decodes(request)
        self._until_the_end(request)
        if self._stalled:
            self._stalled.append((self.now_s, 1))

    def _until_the_end(self, request: int) -> None:
        last = self._admission.last_step(request)
        bucket = self._ends.get(last)
        if bucket is None:
            self._ends[last] = [request]
            heappush(self._next_ends, last)
        else:
            bucket.append(request)

    def _done(self, request: int) -> None:
        self._ledger.end_s[request] = self.now_s
        self._ledger.state[request] = DONE
        self.n_done += 1
        if self.stops_at_ends:
            self._ended.append(request)

    def _run_of_decodes(self, until_s: float) -> None:
        """Steps of decodes only, up to the next event: an end, `until_s`, a lack of blocks, the line's border."""
        admission, blocks = self._admission, self._admission.blocks
        if not self._knobs.mixed_steps:
            self._make_room()
        n, step, start_s = admission.n_decode, admission.step, self.now_s
        context, grows = admission.decode_context, admission.growth_per_step
        if not n:
            return
        line = self._times.decode_line(n, round(context), admission.longest_decode)
        at_s = line.at_s + line.s_per_token * (context - line.from_tokens)
        first_s, growth_s = at_s + self._overhead_s + n * self._knobs.sequence_overhead_s, line.s_per_token * grows
        most = self._next_end() - step
        if line.until_tokens < context + (most - 1) * grows:
            most = max(1, int((line.until_tokens - context) // grows) + 1)
        if first_s < self._floor_s:
            first_s, most = self._floor_s, 1
        if self._stalled or admission.may_change or admission.moved_tokens:
            first_s, most = first_s + self._swapping_s(), 1
        most = _steps_before(until_s - start_s, first_s, growth_s, most)
        most = blocks.steps_that_fit(step, most)
        self._unstall(start_s, first_s)
        self._note(start_s, n_steps=most, step_s=first_s, growth_s=growth_s, n_decode=n)
        self._decoded(most)

    def _next_end(self) -> int:
        ends, heap = self._ends, self._next_ends
        while heap and heap[0] not in ends:
            heappop(heap)
        return heap[0] if heap else _FOREVER

    def _forget(self, request: int, last: int) -> None:
        """A decode was preempted: its end is no longer planned, its next gap is longer."""
        bucket = self._ends[last]
        bucket.remove(request)
        if not bucket:
            del self._ends[last]
        while self._stalled:  # the latest to be admitted is among the latest to wait
            since_s, n = self._stalled.pop()
            if n > 1:
                self._stalled.append((since_s, n - 1))
            break

    def _unstall(self, start_s: float, step_s: float) -> None:
        for since_s, n in self._stalled:
            if since_s < start_s:
                self.step_log.odd_gap(start_s - since_s + step_s, n)
                self.step_log.odd_gap(step_s, -n)
        self._stalled = []

    def _note(
        self, start_s: float, *, n_steps: int, step_s: float, n_decode: int, growth_s: float = 0.0,
        prefill_tokens: int = 0,
    ) -> None:  # fmt: skip
        took_s = step_s if n_steps == 1 else n_steps * step_s + growth_s * (n_steps * (n_steps - 1) / 2)
        self.now_s = start_s + took_s
        self.busy_s += took_s
        self.n_steps += n_steps
        self._last_tokens, self._last_s = n_decode + prefill_tokens, step_s + growth_s * (n_steps - 1)
        self.step_log.run((start_s, n_steps, step_s, growth_s, n_decode, prefill_tokens))

    def _decoded(self, n_steps: int) -> None:
        admission = self._admission
        admission.grow(n_steps)
        ended = self._ends.pop(admission.step, None)
        if ended is not None:
            for request in ended:
                admission.finish_decode(request)
                self._ledger.emitted[request] = self._ledger.output_tokens[request]
                self._done(request)


def _steps_before(room_s: float, first_s: float, growth_s: float, most: int) -> int:
    """Return the fewest steps, `most` or fewer, that take `room_s` or more: step i lasts first + i · growth [s]."""
    if first_s <= 0.0 and growth_s <= 0.0:
        return most

    def took_s(n: int) -> float:
        return n * first_s + growth_s * (n * (n - 1) / 2)

    if took_s(most) < room_s:
        return most
    half = first_s - growth_s / 2  # n² · growth / 2 + n · half = room
    n = ceil(room_s / first_s if growth_s <= 0.0 else 2 * room_s / (half + sqrt(half * half + 2 * growth_s * room_s)))
    n = min(max(n, 1), most)
    while n > 1 and took_s(n - 1) >= room_s:  # the root is rounded; the sum decides
        n -= 1
    while n < most and took_s(n) < room_s:
        n += 1
    return n
