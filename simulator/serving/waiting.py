"""The queue in front of a replica: who goes next, by policy; preempted requests before all others or behind them."""

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import chain

from simulator.serving.ledger import Ledger


class WaitingQueue:
    """Requests that wait, by number. Those that have just come are not in sight before `see`."""

    def __init__(self, policy: str, ledger: Ledger) -> None:
        self._resumed: deque[int] = deque()
        self._fresh: deque[int] = deque()
        self._shortest: list[tuple[int, int]] = []
        self._policy = policy
        self._ledger = ledger
        self._unseen: list[int] = []

    def __len__(self) -> int:
        return len(self._fresh) + len(self._unseen) + len(self._resumed) + len(self._shortest)

    @property
    def n_in_sight(self) -> int:
        """Requests that may go next."""
        return len(self._resumed) + len(self._fresh) + len(self._shortest)

    def __iter__(self) -> Iterator[int]:
        return chain(self._resumed, self._fresh, (request for _, request in sorted(self._shortest)), self._unseen)

    def push(self, request: int) -> None:
        """Queue a request that has arrived, out of sight."""
        self._unseen.append(request)

    def see(self) -> None:
        """Bring those that have come into sight."""
        for request in self._unseen:
            self.push_back(request)
        self._unseen.clear()

    def push_back(self, request: int) -> None:
        """Queue a request where the policy puts one that has just come."""
        if self._policy == "shortest_prompt":
            heappush(self._shortest, (self._ledger.prompt_tokens[request], request))
        elif self._policy == "lcfs":
            self._fresh.appendleft(request)
        else:
            self._fresh.append(request)

    def push_front(self, request: int) -> None:
        """Queue a preempted request before all others."""
        self._resumed.appendleft(request)

    def peek(self) -> int:
        """Return the request in sight that goes next."""
        if self._resumed:
            return self._resumed[0]
        return self._fresh[0] if self._fresh else self._shortest[0][1]

    def pop(self) -> int:
        """Take the request in sight that goes next."""
        if self._resumed:
            return self._resumed.popleft()
        return self._fresh.popleft() if self._fresh else heappop(self._shortest)[1]
