"""Token counts per expert behind a published MoE table, rebuilt from its README's routing rule.

Shape letters: D draws, E experts of the busiest rank.
"""

import math

import numpy as np

from hw_profiles.curves.base import FloatArray

DRAWS = 16  # the tables average over five draws of unknown seed: this estimates their expectation
CONTIGUOUS_TILE = 128  # rows per expert that the contiguous layout aligns to


def busiest_rank_counts(
    distribution: str, *, tokens: int, top_k: int, experts: int, ranks: int, n_draws: int = DRAWS,
    popular_together: bool = False,
) -> FloatArray:  # fmt: skip
    """Return token counts of shape (D, E) on the most loaded of `ranks`, each holding experts/ranks in a row.

    "balanced"/"uniform": even. "power_law_a": counts x^-a on [1, 0.8 tokens] (on [0.01, 2] when tokens · top_k <=
    experts), rescaled to tokens · top_k and rounded; "_eplb": the ranks level the load, so each gets its share.
    `popular_together`: of few tokens, the experts with most share a rank, as the wide-EP decode benchmarks deal them.
    """
    local = max(experts // ranks, 1)
    total = tokens * top_k
    if distribution in ("balanced", "uniform"):
        return np.broadcast_to(_even(total / ranks, local), (n_draws, local)).astype(np.float64)
    alpha = float(distribution.split("_")[2])
    rng = np.random.default_rng([tokens, top_k, experts, ranks, round(1000 * alpha)])
    counts_DE = np.stack([_power_law(rng, tokens, total, experts, alpha) for _ in range(n_draws)])
    if distribution.endswith("_eplb"):
        return _levelled(counts_DE, ranks, local)
    if popular_together and total <= experts:
        counts_DE = -np.sort(-counts_DE, axis=-1)
    by_rank = counts_DE.reshape(n_draws, -1, local)
    busiest = by_rank.sum(axis=-1).argmax(axis=-1)
    return np.asarray(by_rank[np.arange(n_draws), busiest], dtype=np.float64)


def packed_counts(counts_E: FloatArray) -> FloatArray:
    """Return even counts as the contiguous benchmark lays them out: whole row tiles to the first experts."""
    rows = counts_E.sum(axis=-1, keepdims=True)
    if np.all(rows >= counts_E.shape[-1] * CONTIGUOUS_TILE):
        return counts_E
    order = np.arange(counts_E.shape[-1])
    return np.asarray(np.clip(rows - order * CONTIGUOUS_TILE, 0.0, CONTIGUOUS_TILE))


def _even(total: float, experts: int) -> FloatArray:
    """Whole tokens dealt in turn: while there are fewer than experts, each goes to another one."""
    whole = math.ceil(total)
    return np.asarray(whole // experts + (np.arange(experts) < whole % experts), dtype=np.float64)


def _power_law(rng: np.random.Generator, tokens: int, total: int, experts: int, alpha: float) -> FloatArray:
    """One draw by the inverse of the cumulative distribution of x^-alpha, rescaled to `total` whole tokens."""
    low, high = (1.0, max(0.8 * tokens, 1.001)) if total > experts else (0.01, 2.0)
    power = 1.0 - alpha
    u = rng.random(experts)
    weights = (low**power + u * (high**power - low**power)) ** (1.0 / power)
    counts = np.round(weights / weights.sum() * total)
    missing = int(total - counts.sum())
    order = np.argsort(-weights, kind="stable")  # tokens lost in rounding go to experts without any, popular ones first
    order = order[counts[order] > 0] if missing < 0 else order[np.argsort(counts[order] > 0, kind="stable")]
    for step in range(abs(missing)):
        counts[order[step % len(order)]] += np.sign(missing)
    return np.asarray(np.maximum(counts, 0.0))


def _levelled(counts_DE: FloatArray, ranks: int, local: int) -> FloatArray:
    """Experts dealt to ranks by size, largest first in a snake, so that ranks carry nearly the same load."""
    ordered = -np.sort(-counts_DE, axis=-1)
    columns = [ordered[:, row * ranks + (row % 2) * (ranks - 1)] for row in range(local)]
    return np.stack(columns, axis=-1)
