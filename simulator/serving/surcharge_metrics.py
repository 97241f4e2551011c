"""What drawn routing and experts on the move came to in a run."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from simulator.serving.deployment import Deployment
from simulator.serving.replacing import Replacing
from simulator.serving.results import ServingRun
from simulator.serving.routing_noise import RoutingNoise


def surcharge_metrics(run: ServingRun, pools: Mapping[str, Deployment]) -> Mapping[str, Any]:
    """Return by pool, where there is any, `routing_noise`: `added_s`, the mean of what drawn routing adds to all steps
    together, its `share` of their seconds, `spread_share` (the standard deviation of a step, mean over steps, in steps'
    mean seconds), `n_sizes` simulated with `n_draws` each, the `error` between them; and `rebalancing`: `n`, `each_s`,
    `seconds` in all, and their `share` of the steps' seconds."""
    noise, moves, first = {}, {}, 0
    for name, pool in pools.items():
        until = first + pool.n_replicas
        steps, busy_s = run.iterations[run.iterations["replica"].between(first, until - 1)], run.busy_s_R[first:until]
        first = until
        if pool.surcharges.routing:
            noise[name] = _noise(steps, pool.surcharges.routing, float(busy_s.sum()))
        if pool.surcharges.replacing.every_steps:
            moves[name] = _moves(steps, pool.surcharges.replacing, float(busy_s.sum()))
    return {**({"routing_noise": noise} if noise else {}), **({"rebalancing": moves} if moves else {})}


def _noise(steps: pd.DataFrame, routing: RoutingNoise, busy_s: float) -> Mapping[str, Any]:
    added_s = spread_s = 0.0
    alike = steps.groupby(["n_decode", "prefill_tokens"], as_index=False)["n_steps"].sum()
    for n_decode, prompts, n_steps in alike.to_numpy().tolist():
        added = routing.with_prompts(n_decode, prompts) if prompts else routing.decodes(n_decode)
        added_s, spread_s = added_s + n_steps * added.mean_s, spread_s + n_steps * added.spread_s
    return {
        "added_s": added_s,
        "share": _of(added_s, busy_s),
        "spread_share": _of(spread_s, busy_s),
        "n_sizes": routing.n_simulated,
        "n_draws": routing.n_draws,
        "error": asdict(routing.error()),
    }


def _moves(steps: pd.DataFrame, replacing: Replacing, busy_s: float) -> Mapping[str, Any]:
    found = [replacing.so_far(int(n_steps)) for n_steps in steps.groupby("replica")["n_steps"].sum()]
    seconds = sum(took_s for _, took_s in found)
    return {
        "n": sum(n for n, _ in found), "each_s": replacing.seconds, "seconds": seconds, "share": _of(seconds, busy_s),
    }  # fmt: skip


def _of(part_s: float, whole_s: float) -> float:
    return part_s / whole_s if whole_s > 0.0 else 0.0


def surcharge_words(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Yield what drawn routing and experts on the move came to, in sentences."""
    for pool, noise in metrics.get("routing_noise", {}).items():
        yield (
            f"routing drawn in {pool}: {noise['share']:+.2%} of the steps' time against expected loads, a step "
            f"± {noise['spread_share']:.2%}; {noise['n_draws']} draws at each of {noise['n_sizes']} sizes, "
            f"{noise['error']['median']:.2%} median, {noise['error']['worst']:.2%} worst error over "
            f"{noise['error']['n_steps']} sizes of another draw"
        )
    for pool, moves in metrics.get("rebalancing", {}).items():
        yield (
            f"experts of {pool} placed anew {moves['n']:,} times, {moves['each_s']:.3g} s each: "
            f"{moves['seconds']:,.3g} s, {moves['share']:.2%} of the steps' time"
        )
