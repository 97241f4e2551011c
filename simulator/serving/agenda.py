"""What is to happen to a replica, by time."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf


class Agenda:
    """Actions that are due at the end of the step that runs at their time, or then where none does."""

    def __init__(self) -> None:
        self._actions: list[tuple[float, int, Callable[[], None], bool]] = []
        self._n = 0

    @property
    def next_s(self) -> float:
        """When the first action is due; inf where there is none [s]."""
        return self._actions[0][0] if self._actions else inf

    def at(self, time_s: float, action: Callable[[], None], *, matters: bool = True) -> None:
        """Note an action for `time_s` [s]; whether it `matters` also where nobody is left to serve."""
        heappush(self._actions, (time_s, self._n, action, matters))
        self._n += 1

    def happens(self, now_s: float) -> bool:
        """Take every action that is due by `now_s` [s]; return whether there was one."""
        actions = self._actions
        if not actions or actions[0][0] > now_s:
            return False
        while actions and actions[0][0] <= now_s:
            heappop(actions)[2]()
        return True

    def forget_the_rest(self) -> None:
        """Nobody is left to serve: drop what does not matter any more."""
        self._actions = [item for item in self._actions if item[3]]
        heapify(self._actions)
