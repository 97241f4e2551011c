"""Sessions that wait for answers: their next request follows the end of the last one."""

from heapq import heappop, heappush

from workloads.traffic.requests import Request
from workloads.traffic.sessions import SessionTraffic


class Asking:
    """What sessions are known to ask, by time: requests to come of those that were answered, first ones as they come.

    Requests at or after `until_s` [s] are dropped.
    """

    def __init__(self, traffic: SessionTraffic, until_s: float) -> None:
        self._traffic = traffic
        self._firsts = traffic.first_requests()
        self._coming: list[tuple[float, int, bool, Request]] = []
        self._n = 0
        self._until_s = until_s
        self._push(next(self._firsts, None), first=True)

    def _push(self, request: Request | None, *, first: bool) -> None:
        if request is not None and request.arrival_s < self._until_s:
            heappush(self._coming, (request.arrival_s, self._n, first, request))
            self._n += 1

    @property
    def next_s(self) -> float:
        """When the next known request comes; `until_s` where none does [s]."""
        return self._coming[0][0] if self._coming else self._until_s

    @property
    def is_over(self) -> bool:
        """Whether no request is known to come: those under way may bring more."""
        return not self._coming

    def pop(self) -> Request | None:
        """Take the next request, None where none is known."""
        if not self._coming:
            return None
        _, _, first, request = heappop(self._coming)
        if first:
            self._push(next(self._firsts, None), first=True)
        return request

    def answered(self, session: int, now_s: float) -> None:
        """A session's request has ended at `now_s` [s]."""
        self._push(self._traffic.next_request(session, now_s), first=False)
