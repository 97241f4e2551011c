"""Sessions that wait for answers: their next request follows the end of the last one, so replicas move together."""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from simulator.serving.hand_over import hand_over
from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import REJECTED, Ledger
from simulator.serving.moving import move_the_last
from simulator.serving.progress import Progress
from simulator.serving.replica import Replica
from simulator.serving.router import Route
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


@dataclass(frozen=True, kw_only=True)
class SessionServing:
    """What serves sessions: replicas behind a router, the ledger of what they do, and who watches."""

    knobs: BackendKnobs
    ledger: Ledger
    replicas: Sequence[Replica]
    route: Route
    progress: Progress

    def serve(self, asking: Asking) -> bool:
        """Serve what sessions ask until they ask no more, or time is up; False where the watch put an end to it.

        Replicas move together, up to the next known request.
        """
        for replica in self.replicas:
            replica.stops_at_ends = True
        while self.progress.goes_on():
            if moved := move_the_last(self.replicas, asking.next_s):
                for request in moved.take_ended():
                    asking.answered(self.ledger.session[request], self.ledger.end_s[request])
                continue
            asked = asking.pop()
            if asked is None:
                return True
            self._submit(asked, asking)
        return False

    def _submit(self, asked: Request, asking: Asking) -> None:
        if asked.block_tokens:
            for replica in self.replicas:
                replica.cache_prefixes(asked.block_tokens)
        request = self.ledger.add(asked)
        self.progress.n_arrived = request + 1
        hand_over(request, self.ledger, self.replicas, self.route(request), self.knobs)
        if self.ledger.state[request] == REJECTED:
            asking.answered(asked.session, asked.arrival_s)
