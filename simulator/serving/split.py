"""Prefill and decode apart: prompts are computed on one pool of replicas and answered on another."""

from collections.abc import Iterator, Sequence
from math import inf

from simulator.serving.arriving import Arriving
from simulator.serving.hand_over import hand_over
from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import REJECTED, Ledger
from simulator.serving.moving import Source, move_the_last
from simulator.serving.pool import Pool
from simulator.serving.progress import Progress, Watch
from simulator.serving.replica import Replica
from simulator.serving.results import ServingRun, collect
from simulator.serving.router import make_route
from simulator.serving.sessions import Asking
from simulator.serving.split_replicas import DecodeReplica, PrefillReplica
from simulator.serving.transfers import KvLink, Transfers
from workloads.batch import Mtp
from workloads.traffic.requests import Request, Requests
from workloads.traffic.sessions import SessionTraffic


def replay_split(
    requests: Iterator[Requests] | SessionTraffic, *, prefill: Pool, decode: Pool, link: KvLink, mtp: Mtp | None = None,
    seed: int = 0, until_s: float = inf, watch: Watch | None = None,
) -> tuple[ServingRun, Transfers]:  # fmt: skip
    """Return the run of requests on two pools and what went between them; as `replay` otherwise. Replicas are numbered
    prefill first; a request counts as the one's of its decode replica from the hand-over on."""
    ledger, transfers = Ledger(), Transfers(link)
    split = _Split(ledger=ledger, prefill=prefill, decode=decode, transfers=transfers, mtp=mtp or Mtp(), seed=seed)
    progress = Progress(ledger, split.replicas, watch)
    source = _source(requests, prefill.knobs, until_s)
    if split.serve(source, progress):
        split.finish(until_s, progress)
    for replica in split.replicas:
        replica.close()
    return collect(ledger, split.replicas, decode.knobs, progress.n_arrived), transfers


def _source(requests: Iterator[Requests] | SessionTraffic, knobs: BackendKnobs, until_s: float) -> Source:
    return Arriving(requests, knobs, until_s) if isinstance(requests, Iterator) else Asking(requests, until_s)


class _Split:
    """Both pools at work."""

    def __init__(
        self, *, ledger: Ledger, prefill: Pool, decode: Pool, transfers: Transfers, mtp: Mtp, seed: int
    ) -> None:
        self._ledger = ledger
        self._knobs = prefill.knobs
        self._prefills = [
            PrefillReplica(i, **prefill.settings(ledger, mtp, seed + i)) for i in range(prefill.n_replicas)
        ]
        self._decodes = [
            DecodeReplica(prefill.n_replicas + i, transfers, **decode.settings(ledger, mtp, seed + i))
            for i in range(decode.n_replicas)
        ]
        self.replicas: Sequence[Replica] = [*self._prefills, *self._decodes]
        self._to_prefill = make_route(prefill.router, self._prefills, ledger.prompt_tokens)
        self._to_decode = make_route(decode.router, self._decodes, ledger.prompt_tokens)

    def serve(self, source: Source, progress: Progress) -> bool:
        """Serve what the source brings until it has no more; False where the watch put an end to it."""
        while progress.goes_on():
            if self._move(source, source.next_s):
                continue
            asked = source.pop()
            if asked is None:
                return True
            self._submit(asked, source, progress)
        return False

    def finish(self, until_s: float, progress: Progress) -> None:
        """Run every step that starts before `until_s` [s]."""
        nobody = Arriving(iter(()), self._knobs, until_s)
        while progress.goes_on() and self._move(nobody, until_s):
            pass

    def _move(self, source: Source, before_s: float) -> bool:
        """Let what happens next happen; False where nothing does before `before_s` [s]."""
        moved = move_the_last(self.replicas, before_s)
        if moved is None:
            return False
        for request in moved.take_ended():
            source.answered(self._ledger.session[request], self._ledger.end_s[request])
        if isinstance(moved, PrefillReplica):
            for prompt in moved.take_prompts():
                self._decodes[self._to_decode(prompt.request)].expect(prompt)
        return True

    def _submit(self, asked: Request, source: Source, progress: Progress) -> None:
        if asked.block_tokens:
            for replica in self.replicas:
                replica.cache_prefixes(asked.block_tokens)
        ledger = self._ledger
        request = ledger.add(asked)
        progress.n_arrived = request + 1
        chosen = self._to_prefill(request)
        if reason := self._decodes[0].why_never(request):
            ledger.replica[request] = chosen
            ledger.reject(request, reason)
        else:
            hand_over(request, ledger, self._prefills, chosen, self._knobs)
        if ledger.state[request] == REJECTED:
            source.answered(asked.session, asked.arrival_s)
