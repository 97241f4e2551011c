"""Replay a stream of requests on replicas behind a router."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan

from hw_profiles.faults import Fault, InputFaults
from simulator.serving.growth import growth_law
from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import Ledger
from simulator.serving.replica import Replica
from simulator.serving.results import ServingRun, collect
from simulator.serving.router import Route, RouterName, looks_at_replicas, make_route
from simulator.serving.sessions import Asking, serve_sessions
from simulator.serving.step_times import StepTimes
from simulator.serving.stepwise import decode_lines
from workloads.batch import Mtp
from workloads.traffic.requests import Requests
from workloads.traffic.sessions import SessionTraffic

_FOREVER_S = float("inf")
_TELL_EVERY = 1024  # requests


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a replay has come: requests that have arrived, that are done; simulated time, mean time to first token of
    those that have one [s]."""

    n_arrived: int
    n_done: int
    time_s: float
    mean_ttft_s: float


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
    until_s: float = _FOREVER_S,
    on_progress: Callable[[Progress], None] | None = None,
) -> ServingRun:
    """Return the run of requests, a stream in arrival order or sessions, on `n_replicas` replicas behind a router.

    `kv_blocks` of `knobs.block_tokens` tokens: KV room of each of the `n_groups` attention groups of a replica. `mtp`:
    drafts; how many are accepted is drawn from `seed`. `kv_bytes_per_token` prices swapping (per GPU that swaps). Steps
    that start at `until_s` [s] or later are not run: requests under way then stay "running", later ones are none.
    `on_progress` is called every 1,024 requests of a stream. InputFaults where arrivals go backwards or hashed blocks
    do not consist of whole KV blocks.
    """
    ledger, lines = Ledger(), decode_lines(step_times)
    replicas = [
        Replica(
            ledger=ledger, knobs=knobs, step_times=lines, n_groups=n_groups, kv_blocks=kv_blocks,
            law=growth_law(mtp or Mtp(), seed=seed + replica),
            swap_s_per_token=kv_bytes_per_token / knobs.swap_bytes_per_s,
        )
        for replica in range(n_replicas)
    ]  # fmt: skip
    route = make_route(router, replicas, ledger.prompt_tokens)
    if isinstance(requests, Iterator):
        stream = _Stream(knobs=knobs, ledger=ledger, replicas=replicas, route=route, on_progress=on_progress)
        stream.serve(requests, sees_all=looks_at_replicas(router), until_s=until_s)
    else:
        serve_sessions(Asking(requests, until_s), ledger, replicas, route)
    for replica in replicas:
        replica.advance(until_s)
        replica.close()
    return collect(ledger, replicas, knobs)


@dataclass(frozen=True, kw_only=True)
class _Stream:
    """Requests that come whatever becomes of those before them."""

    knobs: BackendKnobs
    ledger: Ledger
    replicas: Sequence[Replica]
    route: Route
    on_progress: Callable[[Progress], None] | None

    def serve(self, chunks: Iterator[Requests], *, sees_all: bool, until_s: float) -> None:
        """Bring each request to its replica, which has then run every step that starts before it."""
        ledger, replicas = self.ledger, self.replicas
        for request in self._arriving(chunks, until_s):
            arrival_s = ledger.arrival_s[request]
            for replica in replicas if sees_all else ():
                replica.advance(arrival_s)
            chosen = ledger.replica[request] = self.route(request)
            replicas[chosen].advance(arrival_s)
            replicas[chosen].submit(request)
            if self.on_progress and request % _TELL_EVERY == _TELL_EVERY - 1:
                self.on_progress(self._progress(request))

    def _arriving(self, chunks: Iterator[Requests], until_s: float) -> Iterator[int]:
        """Yield the number of each request before `until_s`, once the chunk that it came in stands in the ledger."""
        latest_s = 0.0
        for chunk in chunks:
            latest_s = _checked(chunk, self.knobs, latest_s)
            for replica in self.replicas if chunk.prefix_ids is not None else ():
                replica.cache_prefixes(chunk.block_tokens)
            n = int(chunk.arrival_s_N.searchsorted(until_s))
            yield from self.ledger.extend(chunk, n)
            if n < len(chunk):
                return

    def _progress(self, request: int) -> Progress:
        ledger = self.ledger
        waits = [first - at for first, at in zip(ledger.first_token_s[: request + 1], ledger.arrival_s, strict=False)]
        known = [wait for wait in waits if not isnan(wait)]
        return Progress(
            n_arrived=request + 1,
            n_done=sum(replica.n_done for replica in self.replicas),
            time_s=ledger.arrival_s[request],
            mean_ttft_s=sum(known) / len(known) if known else 0.0,
        )


def _checked(chunk: Requests, knobs: BackendKnobs, latest_s: float) -> float:
    """Return the chunk's last arrival [s]; InputFaults for what cannot be replayed."""
    arrivals = chunk.arrival_s_N
    if not len(arrivals):
        return latest_s
    if arrivals[0] < latest_s or (arrivals[1:] < arrivals[:-1]).any():
        raise InputFaults([Fault(field="requests", got="an arrival before the one before it", allowed="arrival order",
                                 remedy="sort the requests by arrival")])  # fmt: skip
    if chunk.prefix_ids is not None and knobs.prefix_caching and chunk.block_tokens % knobs.block_tokens:
        raise InputFaults([Fault(field="serving.block_tokens", got=str(knobs.block_tokens),
                                 allowed=f"a divisor of {chunk.block_tokens}, the tokens of the stream's hashed blocks",
                                 remedy="change it, or set prefix_caching=false")])  # fmt: skip
    return float(arrivals[-1])
