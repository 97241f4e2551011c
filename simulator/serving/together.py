"""Replicas that move together serve what a source brings: sessions that wait for answers, or replicas that fail."""

from collections.abc import Sequence
from typing import Any

from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import FULL_QUEUE, REJECTED, Ledger
from simulator.serving.left import Left
from simulator.serving.moving import Source, move_the_last
from simulator.serving.outages import Outages
from simulator.serving.progress import Progress
from simulator.serving.replica import Replica
from simulator.serving.rotation import Rotation
from workloads.traffic.requests import Request

LOST = "lost with its replica"


class Together:
    """Replicas that move together behind an `entry`. `outages`: what happens to them."""

    def __init__(
        self, *, ledger: Ledger, replicas: Sequence[Replica], entry: Rotation[Any], knobs: BackendKnobs,
        progress: Progress, outages: Outages | None = None,
    ) -> None:  # fmt: skip
        self.ledger = ledger
        self._replicas = replicas
        self._entry = entry
        self._knobs = knobs
        self._progress = progress
        self._outages = outages
        self._nowhere: list[Left] = []
        for replica in replicas:
            replica.stops_at_ends = True

    def serve(self, source: Source) -> None:
        """Serve what the source brings until all is answered or its time is up, or the watch puts an end to it."""
        while self._progress.goes_on():
            if self._outages and source.is_over and not self._progress.n_open:
                for replica in self._replicas:
                    replica.agenda.forget_the_rest()
            moved = move_the_last(self._replicas, source.next_s)
            if moved:
                self.moved(moved, source)
                continue
            asked = source.pop()
            if asked is None:
                return
            self._submit(asked, source)

    def moved(self, replica: Replica, source: Source) -> None:
        """See to what a replica has done."""
        for request in replica.take_ended():
            source.answered(self.ledger.session[request], self.ledger.end_s[request])
        if self._outages is None:
            return
        for left in self._outages.take_left():
            self.again(left, source)
        waiting, self._nowhere = self._nowhere, []
        for left in waiting:
            self._hand_over(left.request, left)

    def again(self, left: Left, source: Source) -> None:
        """A request has left a replica: to another one, if it is not lost with it."""
        retry = self._outages.retry if self._outages else "continue"
        if retry == "lost":
            self.ledger.reject(left.request, LOST)
            source.answered(self.ledger.session[left.request], left.since_s)
            return
        if retry == "restart":
            self.ledger.emitted[left.request] = 0
        self._hand_over(left.request, left)

    def _hand_over(self, request: int, again: Left | None = None) -> None:
        replica = self._entry.choose(request)
        if replica is None:
            arrival_s = self.ledger.arrival_s[request]
            self._nowhere.append(again or Left(request, arrival_s, arrival_s))
            return
        self.ledger.replica[request] = replica.number
        if again is None and 0 < self._knobs.max_queue <= replica.n_waiting:
            self.ledger.reject(request, FULL_QUEUE)
        else:
            replica.submit(request, again=again)

    def why_never(self, request: int) -> str:
        """Return why a request can never be answered, where the replica that takes it does not know."""
        del request
        return ""

    def _submit(self, asked: Request, source: Source) -> None:
        if asked.block_tokens:
            for replica in self._replicas:
                replica.cache_prefixes(asked.block_tokens)
        request = self.ledger.add(asked)
        self._progress.n_arrived = request + 1
        if reason := self.why_never(request):
            self.ledger.replica[request] = 0
            self.ledger.reject(request, reason)
        else:
            self._hand_over(request)
        if self.ledger.state[request] == REJECTED:
            source.answered(asked.session, asked.arrival_s)
