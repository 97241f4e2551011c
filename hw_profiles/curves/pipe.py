"""A transfer through one bottleneck: latency, then a marginal rate that changes with the size of the message."""

from dataclasses import dataclass

import numpy as np

from hw_profiles.curves.base import Amount, FloatArray

# Bytes at which the marginal rate may change: libraries switch protocol (LL, LL128, simple) and algorithm by size.
EDGES = np.array([0.0, 4e3, 1.6e4, 6.5e4, 2.6e5, 1.05e6, 4.2e6, 1.7e7, 6.7e7, 2.7e8])
WIDTHS = np.append(np.diff(EDGES), np.inf)
STEPS = len(EDGES) - 1
MIDDLE_DOUBLINGS = 2.0  # `shares` hold at 2^2 ranks
HIGHEST_SHARE = 50.0  # of the link's rate: where a slow start already paid for bytes that follow
GROWTH_LIMIT = 4.0


@dataclass(frozen=True, kw_only=True)
class PipeCurve:
    """Coefficients of `pipe_s`.

    `rank_s`, `step_s`: latency per doubling of the ranks (tree) and per further rank (ring); `share`: of the link's
    datasheet rate, for bytes beyond the last edge among four ranks; `share_steps`: log steps of the marginal time per
    byte from each edge down to the one before; `growth`, `growth_steps`: the same for how much that time grows per
    doubling of the ranks.
    """

    floor_s: float
    rank_s: float
    step_s: float
    share: float
    growth: float
    share_steps: tuple[float, ...] = (0.0,) * STEPS
    growth_steps: tuple[float, ...] = (0.0,) * STEPS


def pipe_s(n_bytes: Amount, ranks: Amount, *, link_bytes_per_s: Amount, curve: PipeCurve) -> FloatArray:
    """Return the seconds to move `n_bytes` per rank among `ranks`: latency + every byte at its marginal rate.

    Never faster than the link's datasheet rate; never falls as bytes grow.
    """
    n_bytes, doublings = np.asarray(n_bytes, dtype=np.float64), np.log2(np.asarray(ranks, dtype=np.float64))
    latency_s = curve.floor_s + curve.rank_s * doublings + curve.step_s * (np.asarray(ranks) - 1.0)
    log_times = np.append(0.0, np.cumsum(curve.share_steps))[::-1] - np.log(curve.share)
    growths = (curve.growth + np.append(0.0, np.cumsum(curve.growth_steps)))[::-1]
    growths = np.clip(growths, -GROWTH_LIMIT, GROWTH_LIMIT)
    log_times = log_times + growths * (doublings[..., None] - MIDDLE_DOUBLINGS)
    times = np.exp(np.maximum(log_times, -np.log(HIGHEST_SHARE)))
    link_s = (np.clip(n_bytes[..., None] - EDGES, 0.0, WIDTHS) * times).sum(axis=-1)
    return np.asarray(np.maximum(latency_s + link_s / link_bytes_per_s, n_bytes / link_bytes_per_s))
