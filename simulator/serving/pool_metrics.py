"""What each pool of a split deployment did, and what went between them."""

from collections.abc import Mapping
from typing import Any

from simulator.serving.deployment import Deployment
from simulator.serving.over_time import over_time
from simulator.serving.results import ServingRun
from simulator.serving.transfers import Transfers

_MEANS = ("waiting", "running", "kv_used_share")


def pool_metrics(run: ServingRun, pools: Mapping[str, Deployment], moved: Transfers) -> Mapping[str, Any]:
    """Return `pools`, by name: `n_gpus`, `n_replicas`, `busy_share` and means and peaks of `waiting`, `running`,
    `kv_used_share` of a replica; and `kv_transfer`: `n`, `bytes_per_gpu` that takes them, mean seconds from the end of
    the prompt to the arrival of its cache (`mean_s`), of them for links (`queued_s`) and for room (`room_s`)."""
    found, first = {}, 0
    for name, pool in pools.items():
        until, end_s = first + pool.n_replicas, run.end_s
        samples, busy_s = run.samples[run.samples["replica"].between(first, until - 1)], run.busy_s_R[first:until].sum()
        first = until
        found[name] = {
            "n_gpus": pool.n_gpus,
            "n_replicas": pool.n_replicas,
            "busy_share": float(busy_s / (end_s * pool.n_replicas)) if end_s > 0.0 else 0.0,
            **{mean: over_time(samples, mean) for mean in _MEANS},
        }
    n = max(moved.n, 1)
    return {
        "pools": found,
        "kv_transfer": {
            "n": moved.n, "bytes": moved.moved_bytes, "mean_s": moved.seconds / n,
            "queued_s": moved.queued_s / n, "room_s": moved.room_s / n,
        },
    }  # fmt: skip


def ratio_words(pools: Mapping[str, Any]) -> str:
    """Return which pool holds the other up, by the share of the time that it works and the KV blocks in use."""
    loads = {name: max(pool["busy_share"], pool["kv_used_share"]["mean"]) for name, pool in pools.items()}
    busiest = max(loads, key=lambda name: loads[name])
    spare = min(loads, key=lambda name: loads[name])
    figures = ", ".join(
        f"{name} busy {pool['busy_share']:.0%} with {pool['kv_used_share']['mean']:.0%} of its KV blocks in use"
        for name, pool in pools.items()
    )
    return f"the pools are out of proportion or too small: {figures}; give {busiest} more GPUs, or {spare} fewer"
