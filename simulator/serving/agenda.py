"""What is to happen to a replica, by time."""

from collections.abc import Callable
from heapq import heappop, heappush


class Agenda:
    """Actions that are due at the end of the step that runs at their time, or then where none does."""

    def __init__(self) -> None:
        self._actions: list[tuple[float, int, Callable[[], None]]] = []
        self._n = 0

    def __len__(self) -> int:
        return len(self._actions)

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        """Note an action for `time_s` [s]."""
        heappush(self._actions, (time_s, self._n, action))
        self._n += 1

    def happens(self, now_s: float, until_s: float) -> float:
        """Take every action that is due by `now_s`; return until when steps may run without looking up [s]."""
        actions = self._actions
        while actions and actions[0][0] <= now_s:
            heappop(actions)[2]()
        return min(until_s, actions[0][0]) if actions else until_s
