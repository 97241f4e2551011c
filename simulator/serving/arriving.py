"""Requests of a stream one by one, checked for what cannot be replayed."""

from collections.abc import Iterator

from hw_profiles.faults import Fault, InputFaults
from simulator.serving.knobs import BackendKnobs
from workloads.traffic.requests import Request, Requests


class Arriving:
    """A stream before `until_s` [s]: requests come whatever becomes of those before them."""

    def __init__(self, chunks: Iterator[Requests], knobs: BackendKnobs, until_s: float) -> None:
        self._requests = _one_by_one(chunks, knobs)
        self._until_s = until_s
        self._next = next(self._requests, None)

    @property
    def next_s(self) -> float:
        """When the next request comes; `until_s` where none does [s]."""
        return self._until_s if self._next is None else min(self._next.arrival_s, self._until_s)

    @property
    def is_over(self) -> bool:
        """Whether no request comes any more."""
        return self._next is None or self._next.arrival_s >= self._until_s

    def pop(self) -> Request | None:
        """Take the next request, None where none comes any more."""
        request = self._next
        if self.is_over:
            return None
        self._next = next(self._requests, None)
        return request

    def answered(self, session: int, now_s: float) -> None:
        """Nobody waits for an answer."""


def _one_by_one(chunks: Iterator[Requests], knobs: BackendKnobs) -> Iterator[Request]:
    latest_s = 0.0
    for chunk in chunks:
        latest_s = checked_arrivals(chunk, knobs, latest_s)
        yield from chunk.one_by_one()


def checked_arrivals(chunk: Requests, knobs: BackendKnobs, latest_s: float) -> float:
    """Return the chunk's last arrival [s]; InputFaults for what cannot be replayed."""
    arrivals = chunk.arrival_s_N
    if not len(arrivals):
        return latest_s
    if arrivals[0] < latest_s or (arrivals[1:] < arrivals[:-1]).any():
        raise InputFaults([Fault(field="requests", got="an arrival before the one before it", allowed="arrival order",
                                 remedy="sort the requests by arrival")])  # fmt: skip
    if chunk.prefix_ids is not None and knobs.prefix_caching and chunk.block_tokens % knobs.block_tokens:
        raise InputFaults([Fault(field="serving.block_tokens", got=str(knobs.block_tokens),
                                 allowed=f"a divisor of {chunk.block_tokens}, the tokens of the stream's hashed blocks",
                                 remedy="change it, or set prefix_caching=false")])  # fmt: skip
    return float(arrivals[-1])
