"""A serving run in sentences: what ran, and what went between its pools."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simulator.report.formats import number_text, share_text, time_text
from simulator.serving.deployment import Deployment
from simulator.serving.failure_metrics import failure_words
from simulator.serving.surcharge_metrics import surcharge_words

_ROLES = {"replicas": "", "prefill": "prefill on ", "decode": "decode on "}


def pool_words(deployed: Deployment) -> Sequence[str]:
    """Return what each pool of a deployment is made of."""
    return [
        f"{_ROLES[name]}{pool.n_replicas} × {pool.knobs.name} {pool.knobs.version}, {pool.n_gpus} GPUs, "
        f"{pool.kv_blocks:,} KV blocks of {pool.knobs.block_tokens} tokens per attention group"
        for name, pool in deployed.pools.items()
    ]


def pool_sentences(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Yield what each of two pools did and what went between them, what broke and what steps took beyond their work,
    where there was any."""
    for name, pool in metrics.get("pools", {}).items():
        yield (
            f"{name}: GPUs busy {share_text(pool['busy_share'])}, KV blocks in use "
            f"{share_text(pool['kv_used_share']['mean'])} (peak {share_text(pool['kv_used_share']['peak'])}), "
            f"{number_text(pool['waiting']['mean'])} requests waiting per replica"
        )
    if moved := metrics.get("kv_transfer"):
        yield (
            f"caches: {moved['n']:,} moved, {time_text(moved['mean_s'])} each after the end of its prompt in the mean, "
            f"of that {time_text(moved['room_s'])} until there was room, {time_text(moved['queued_s'])} behind others"
        )
    if failures := metrics.get("failures"):
        yield from failure_words(failures)
    yield from surcharge_words(metrics)
