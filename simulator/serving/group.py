"""One attention group of a replica: its scheduler and KV cache, and when the next of its decodes ends.

A replica counts the steps in which its groups decode; a group follows when something happens to it, not before.
"""

from collections.abc import Iterator
from heapq import heappop, heappush

from simulator.serving.admission import Admission
from simulator.serving.growth import Plain, Speculation
from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import Ledger
from simulator.serving.step_times import Chunk, GroupBatch, Prefills

FOREVER = 1 << 60


class Group:
    """Group number `index` as it stands after `seen` of its replica's steps. `due`: the number of steps after which it
    has to be looked at, since a decode ends or blocks run out. `stalled`: (time of the last token [s], sequences) of
    decodes that wait behind prompts or have been preempted. `over`: requests that are answered and decode until the
    iteration ends. `asleep`: nothing changes for it before `due` but by a
    request that arrives."""

    def __init__(
        self,
        index: int,
        *,
        ledger: Ledger,
        knobs: BackendKnobs,
        kv_blocks: int,
        law: Plain | Speculation,
        seen: int = 0,
    ) -> None:
        self.index = index
        self.admission = Admission(ledger=ledger, knobs=knobs, kv_blocks=kv_blocks, law=law)
        self.seen = seen
        self.due = FOREVER
        self.asleep = True
        self.stalled: list[tuple[float, int]] = []
        self.over: list[int] = []
        self._mixed = knobs.mixed_steps
        self._ends: dict[int, list[int]] = {}
        self._next_ends: list[int] = []

    @property
    def n_waiting(self) -> int:
        """Requests that wait."""
        return len(self.admission.waiting)

    @property
    def n_running(self) -> int:
        """Requests that hold KV blocks."""
        return self.admission.n_running

    @property
    def used_blocks(self) -> int:
        """KV blocks of running requests, when it was last looked at."""
        return self.admission.blocks.used

    def known_tokens(self, request: int) -> int:
        """Return the leading tokens of the prompt that the prefix cache holds."""
        return self.admission.hit_tokens(request)

    def follow(self, steps: int) -> list[int]:
        """Decode up to the replica's step number `steps`, `due` at the latest; return the requests whose last token is
        out then."""
        if steps == self.seen:
            return []
        admission = self.admission
        admission.grow(steps - self.seen)
        self.seen = steps
        ended = self._ends.pop(admission.decodes.step, None) or []
        for request in ended:
            admission.answered(request)
        self.over += ended
        return ended

    def end_iteration(self) -> None:
        """The iteration has ended: who is answered decodes no more."""
        for request in self.over:
            self.admission.finish_decode(request)
        self.over.clear()

    def sit_out(self) -> None:
        """The replica takes one more step, in which this group does not decode."""
        self.seen += 1

    def plan(self, now_s: float) -> list[Chunk]:
        """Make room for the next step, let requests in, and return the chunks of prompts that are in it."""
        admission = self.admission
        admission.may_change = False
        if self._mixed:
            self._make_room(now_s)
        chunks, back = admission.chunks(admit=not admission.may_change)
        for request in back:
            self.plan_end(request)
            self.stalled.append((admission.preempted_s.pop(request), 1))
        if not chunks and not self._mixed:
            self._make_room(now_s)
        return chunks

    def settle(self) -> None:
        """Work out `due` and `asleep` after a change."""
        admission = self.admission
        most = self._next_end() - admission.decodes.step
        fits = admission.blocks.steps_that_fit(admission.decodes.step, most) if admission.decodes.n else most
        self.due = min(self.seen + fits, FOREVER)
        self.asleep = not (
            admission.n_prompts
            or admission.may_change
            or (self.n_waiting and (admission.reserves or not admission.n_running))
        )

    def _make_room(self, now_s: float) -> None:
        for request, last_step in self.admission.make_room(now_s):
            self._forget(request, last_step)

    def plan_end(self, request: int) -> None:
        """Remember when a request that decodes now will be done."""
        last = self.admission.decodes.last_step(request)
        bucket = self._ends.get(last)
        if bucket is None:
            self._ends[last] = [request]
            heappush(self._next_ends, last)
        else:
            bucket.append(request)

    def _next_end(self) -> int:
        ends, heap = self._ends, self._next_ends
        while heap and heap[0] not in ends:
            heappop(heap)
        return heap[0] if heap else FOREVER

    def _forget(self, request: int, last: int) -> None:
        """A decode was preempted: its end is no longer planned, its next gap is longer."""
        bucket = self._ends[last]
        bucket.remove(request)
        if not bucket:
            del self._ends[last]
        if self.stalled:  # the latest to be admitted is among the latest to wait
            since_s, n = self.stalled.pop()
            self.admission.preempted_s[request] = since_s
            if n > 1:
                self.stalled.append((since_s, n - 1))

    def take_stalled(self, before_s: float) -> Iterator[tuple[float, int]]:
        """Yield and forget the decodes that have waited since before `before_s` [s]."""
        stalled, self.stalled = self.stalled, []
        return ((since_s, n) for since_s, n in stalled if since_s < before_s)

    def batch(self, chunks: list[Chunk], *, decodes: bool) -> GroupBatch:
        """Return its part of a step: its decodes, where they take part, and chunks of prompts."""
        admission = self.admission
        n = admission.decodes.n if decodes else 0
        return GroupBatch(n, round(admission.decodes.context) if n else 0, prefills_of(chunks))


def prefills_of(chunks: list[Chunk]) -> Prefills:
    """Return (new tokens, tokens already cached) of chunks."""
    return tuple((new, context) for _, new, context in chunks)
