"""Which of the decoding sequences has most tokens cached, without a visit to each."""

from collections.abc import Mapping
from heapq import heappop, heappush

from simulator.serving.growth import Growth


class Longest:
    """Sequences by their tokens less the decode steps so far, an order that stays while all of them grow alike.

    Under speculation they do not quite: the longest is then the one that would be, had all gained evenly.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Growth]] = []

    def join(self, request: int, growth: Growth) -> None:
        """A sequence decodes from now on."""
        heappush(self._heap, (growth.from_step - growth.cached, request, growth))

    def cached(self, growing: Mapping[int, Growth], step: int) -> int:
        """Return the cached tokens of the longest of those still `growing` before decode step `step`, 0 for none."""
        heap = self._heap
        while heap and growing.get(heap[0][1]) is not heap[0][2]:
            heappop(heap)
        return heap[0][2].cached + heap[0][2].gained(step) if heap else 0
