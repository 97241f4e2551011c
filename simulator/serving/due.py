"""Which attention group of a replica has to be looked at next, and after which step."""

from heapq import heappop, heappush

from simulator.serving.group import FOREVER, Group


class DueGroups:
    """Groups by the step after which each is due; one whose step has changed stands twice, once in vain."""

    def __init__(self, n_groups: int) -> None:
        self._heap: list[tuple[int, int]] = []
        self._put = [FOREVER] * n_groups

    def put(self, group: Group) -> None:
        """Take a group's step as it is now."""
        if group.due != self._put[group.index]:
            self._put[group.index] = group.due
            if group.due < FOREVER:
                heappush(self._heap, (group.due, group.index))

    def next_step(self) -> int:
        """Return the step after which the next group is due, FOREVER where none is."""
        heap, put = self._heap, self._put
        while heap and put[heap[0][1]] != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else FOREVER

    def take(self, step: int) -> list[int]:
        """Take the indices of the groups that are due after step number `step` or earlier."""
        due: list[int] = []
        while self.next_step() <= step:
            index = heappop(self._heap)[1]
            self._put[index] = FOREVER
            due.append(index)
        return due
