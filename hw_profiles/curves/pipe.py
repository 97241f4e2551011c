"""A transfer through one bottleneck: latency, a knee where bytes start to matter, then the rate of the link."""

from dataclasses import dataclass

import numpy as np

from hw_profiles.curves.base import Amount, FloatArray, along, knots_at, smooth_max

BYTE_KNOTS = knots_at(3e4, 3e5, 3e6, 3e7, 3e8)


@dataclass(frozen=True, kw_only=True)
class PipeCurve:
    """Coefficients of `pipe_s`.

    `rank_s`: latency per doubling of the ranks; `knee_s`: fixed work that the first bytes hide under; `share`: of the
    link's datasheet rate; `rank_loss`: how much the time per byte grows per doubling of the ranks; `log_bytes`: log
    factors at the module's knots (protocol switches: small messages go by slower, low-latency protocols).
    """

    floor_s: float
    rank_s: float
    knee_s: float
    share: float
    rank_loss: float
    sharpness: float
    log_bytes: tuple[float, ...] = (0.0,) * 5


def pipe_s(n_bytes: Amount, ranks: Amount, *, link_bytes_per_s: Amount, curve: PipeCurve) -> FloatArray:
    """Return the seconds to move `n_bytes` per rank among `ranks`: floor + log2(ranks) + smooth_max(knee, bytes / rate).

    Never faster than the link's datasheet rate.
    """
    doublings = np.log2(ranks)
    wire_s = n_bytes / link_bytes_per_s
    busy_s = (
        wire_s / curve.share * (1.0 + curve.rank_loss * doublings) * np.exp(along(n_bytes, BYTE_KNOTS, curve.log_bytes))
    )
    fitted_s = curve.floor_s + curve.rank_s * doublings + smooth_max(curve.knee_s, busy_s, curve.sharpness)
    return np.maximum(fitted_s, wire_s)
