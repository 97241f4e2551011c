"""Replay a stream of requests on pools of replicas: prefill and decode apart, or replicas that fail."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf

from simulator.serving.arriving import Arriving
from simulator.serving.ledger import Ledger
from simulator.serving.moving import Source
from simulator.serving.outages import Outages
from simulator.serving.pool import Pool
from simulator.serving.progress import Progress, Watch
from simulator.serving.replica import Replica
from simulator.serving.results import ServingRun, collect
from simulator.serving.rotation import Rotation
from simulator.serving.sessions import Asking
from simulator.serving.split import Split
from simulator.serving.split_replicas import DecodeReplica, PrefillReplica
from simulator.serving.together import Together
from simulator.serving.transfers import KvLink, Transfers
from workloads.batch import Mtp
from workloads.traffic.requests import Requests
from workloads.traffic.sessions import SessionTraffic

Breaks = Callable[[Mapping[str, Sequence[Replica]]], Outages]


@dataclass(frozen=True, kw_only=True)
class PoolsRun:
    """A run on pools; `transfers`: between them, where there are two; `outages`: what broke, where anything could."""

    run: ServingRun
    transfers: Transfers | None
    outages: Outages | None


def replay_pools(
    requests: Iterator[Requests] | SessionTraffic, *, decode: Pool, prefill: Pool | None = None,
    link: KvLink | None = None, breaks: Breaks | None = None, mtp: Mtp | None = None, seed: int = 0,
    until_s: float = inf, watch: Watch | None = None,
) -> PoolsRun:  # fmt: skip
    """Return the run of requests on the replicas of `decode`; where there is a pool `prefill` it computes the prompts,
    and their caches go over the `link`. `breaks` makes, of the replicas by pool ("replicas", "prefill"), what happens
    to them. As `replay` otherwise. Replicas are numbered prefill first; from the hand-over on a request counts as the
    one's of its decode replica."""
    ledger, mtp = Ledger(), mtp or Mtp()
    if prefill and link:
        transfers = Transfers(link)
        first = prefill.made(PrefillReplica, ledger, mtp, seed=seed)
        then = decode.made(partial(DecodeReplica, transfers), ledger, mtp, seed=seed, first=len(first))
        replicas: Sequence[Replica] = [*first, *then]
        outages = breaks({"prefill": first, "replicas": then}) if breaks else None
        progress = Progress(ledger, replicas, watch)
        serving: Together = Split(
            ledger=ledger, replicas=replicas, entry=Rotation(prefill.router, first, ledger.prompt_tokens),
            to_decode=Rotation(decode.router, then, ledger.prompt_tokens), decodes=then, knobs=prefill.knobs,
            progress=progress, outages=outages,
        )  # fmt: skip
    else:
        transfers, replicas = None, decode.made(Replica, ledger, mtp, seed=seed)
        outages = breaks({"replicas": replicas}) if breaks else None
        progress = Progress(ledger, replicas, watch)
        serving = Together(
            ledger=ledger, replicas=replicas, entry=Rotation(decode.router, replicas, ledger.prompt_tokens),
            knobs=decode.knobs, progress=progress, outages=outages,
        )  # fmt: skip
    source: Source = (
        Arriving(requests, (prefill or decode).knobs, until_s)
        if isinstance(requests, Iterator)
        else Asking(requests, until_s)
    )
    serving.serve(source)
    for replica in replicas:
        replica.close()
    run = collect(ledger, replicas, decode.knobs, progress.n_arrived)
    return PoolsRun(run=run, transfers=transfers, outages=outages)
