"""A transfer through one bottleneck: latency, a knee where bytes start to matter, then the rate of the link."""

from dataclasses import dataclass

import numpy as np

from hw_profiles.curves.base import Amount, FloatArray, corrected, knots_at, smooth_max

BYTE_KNOTS = knots_at(1e4, 1e5, 4e5, 1.5e6, 6e6, 2.5e7, 1e8, 1e9)


@dataclass(frozen=True, kw_only=True)
class PipeCurve:
    """Coefficients of `pipe_s`.

    `rank_s`, `step_s`: latency per doubling of the ranks (tree) and per further rank (ring); `knee_s`: fixed work that
    the first bytes hide under; `share`: of the link's datasheet rate; `rank_loss`: how much the time per byte grows per
    doubling of the ranks; `log_bytes`: log factors at the module's knots (protocol switches: small messages go by
    slower, low-latency protocols).
    """

    floor_s: float
    rank_s: float
    step_s: float
    knee_s: float
    share: float
    rank_loss: float
    sharpness: float
    log_bytes: tuple[float, ...] = (0.0,) * 8


def pipe_s(n_bytes: Amount, ranks: Amount, *, link_bytes_per_s: Amount, curve: PipeCurve) -> FloatArray:
    """Return the seconds to move `n_bytes` per rank among `ranks`: latency + smooth_max(knee, bytes / rate).

    Never faster than the link's datasheet rate.
    """
    latency_s = curve.floor_s + curve.rank_s * np.log2(ranks) + curve.step_s * (np.asarray(ranks) - 1.0)
    loss = (1.0 + curve.rank_loss * np.log2(ranks)) / curve.share
    busy_s = corrected(n_bytes, BYTE_KNOTS, curve.log_bytes) / link_bytes_per_s * loss
    return np.maximum(latency_s + smooth_max(curve.knee_s, busy_s, curve.sharpness), n_bytes / link_bytes_per_s)
