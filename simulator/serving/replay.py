"""Replay a stream of requests on replicas behind a router."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from simulator.serving.arriving import checked_arrivals
from simulator.serving.hand_over import hand_over
from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import Ledger
from simulator.serving.pool import Pool
from simulator.serving.pools import replay_pools
from simulator.serving.progress import Progress, Watch
from simulator.serving.replica import Replica
from simulator.serving.results import ServingRun, collect
from simulator.serving.router import Route, RouterName, looks_at_replicas, make_route
from simulator.serving.step_times import StepTimes
from simulator.serving.stepwise import decode_lines
from simulator.serving.surcharges import NO_SURCHARGES, Surcharges
from workloads.batch import Mtp
from workloads.traffic.requests import Requests
from workloads.traffic.sessions import SessionTraffic

_FOREVER_S = float("inf")


def replay(
    requests: Iterator[Requests] | SessionTraffic,
    *,
    knobs: BackendKnobs,
    step_times: StepTimes,
    kv_blocks: int,
    n_replicas: int = 1,
    n_groups: int = 1,
    router: RouterName = "round_robin",
    mtp: Mtp | None = None,
    seed: int = 0,
    kv_bytes_per_token: float = 0.0,
    surcharges: Surcharges = NO_SURCHARGES,
    until_s: float = _FOREVER_S,
    watch: Watch | None = None,
) -> ServingRun:
    """Return the run of requests, a stream in arrival order or sessions, on `n_replicas` replicas behind a router.

    `kv_blocks` of `knobs.block_tokens` tokens: KV room of each of the `n_groups` attention groups of a replica. `mtp`:
    drafts; how many are accepted is drawn from `seed`. `kv_bytes_per_token` prices swapping (per GPU that swaps),
    `surcharges` what steps take beyond their work. Steps that start at `until_s` [s] or later are not run: requests
    under way then stay "running", later ones are none. `watch` is asked after every arrival, and every end beyond the
    last one, whether to go on: with False the run ends as it stands. InputFaults where arrivals go backwards or hashed
    blocks do not consist of whole KV blocks.
    """
    pool = Pool(
        knobs=knobs, step_times=decode_lines(step_times), kv_blocks=kv_blocks, n_replicas=n_replicas,
        n_groups=n_groups, router=router, swap_s_per_token=kv_bytes_per_token / knobs.swap_bytes_per_s,
        surcharges=surcharges,
    )  # fmt: skip
    if not isinstance(requests, Iterator):
        return replay_pools(requests, decode=pool, mtp=mtp, seed=seed, until_s=until_s, watch=watch).run
    ledger = Ledger()
    replicas = pool.made(Replica, ledger, mtp or Mtp(), seed=seed)
    progress = Progress(ledger, replicas, watch)
    stream = _Stream(
        knobs=knobs, ledger=ledger, replicas=replicas, route=make_route(router, replicas, ledger.prompt_tokens),
        progress=progress,
    )  # fmt: skip
    if stream.serve(requests, sees_all=looks_at_replicas(router), until_s=until_s):
        _finish(replicas, until_s, progress)
    for replica in replicas:
        replica.close()
    return collect(ledger, replicas, knobs, progress.n_arrived)


def _finish(replicas: Sequence[Replica], until_s: float, progress: Progress) -> None:
    """Run every step that starts before `until_s`, while the watch agrees; whoever is furthest behind moves."""
    for replica in replicas:
        replica.stops_at_ends = True
    clocks = [(replica.now_s, i) for i, replica in enumerate(replicas)]
    heapify(clocks)
    while clocks and progress.goes_on():
        _, i = heappop(clocks)
        replicas[i].advance(until_s)
        if replicas[i].take_ended():
            heappush(clocks, (replicas[i].now_s, i))


@dataclass(frozen=True, kw_only=True)
class _Stream:
    """Requests that come whatever becomes of those before them."""

    knobs: BackendKnobs
    ledger: Ledger
    replicas: Sequence[Replica]
    route: Route
    progress: Progress

    def serve(self, chunks: Iterator[Requests], *, sees_all: bool, until_s: float) -> bool:
        """Bring each request to its replica, which has then run every step that starts before it; False where the watch
        put an end to it."""
        ledger, replicas = self.ledger, self.replicas
        for request in self._arriving(chunks, until_s):
            arrival_s = ledger.arrival_s[request]
            for replica in replicas if sees_all else ():
                replica.advance(arrival_s)
            chosen = self.route(request)
            replicas[chosen].advance(arrival_s)
            hand_over(request, ledger, replicas, chosen, self.knobs)
            self.progress.n_arrived = request + 1
            if not self.progress.goes_on():
                return False
        return True

    def _arriving(self, chunks: Iterator[Requests], until_s: float) -> Iterator[int]:
        """Yield the number of each request before `until_s`, once the chunk that it came in stands in the ledger."""
        latest_s = 0.0
        for chunk in chunks:
            latest_s = checked_arrivals(chunk, self.knobs, latest_s)
            for replica in self.replicas if chunk.prefix_ids is not None else ():
                replica.cache_prefixes(chunk.block_tokens)
            n = int(chunk.arrival_s_N.searchsorted(until_s))
            yield from self.ledger.extend(chunk, n)
            if n < len(chunk):
                return
