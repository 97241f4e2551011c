"""Spares: how many failure units stand by so that all that the load needs is up.

Units fail on their own and come back after the same time in the mean; in the long run each is up with probability
MTBF / (MTBF + time to be back), whatever the distributions, and the number of units that are up is binomial.
"""

from dataclasses import dataclass
from math import comb

from simulator.planner.question import HOUR_S, Failures

_MOST = 1000


@dataclass(frozen=True, kw_only=True)
class Spares:
    """Spares of one pool. `n_needed` units of `unit_gpus`; each fails every `unit_mtbf_s` and is back after `back_s`;
    `unit_up`: share of the time it is up; `n_spare`: units beside, with which `availability` is reached; `without`: the
    availability without any."""

    pool: str
    unit_gpus: int
    n_needed: int
    unit_mtbf_s: float
    back_s: float
    unit_up: float
    n_spare: int
    availability: float
    without: float

    @property
    def n_gpus(self) -> int:
        """GPUs that stand by."""
        return self.n_spare * self.unit_gpus


def spares(pool: str, failures: Failures, *, unit_gpus: int, n_needed: int, weight_bytes: float) -> Spares:
    """Return the spares of `n_needed` units with `weight_bytes` of weights on each GPU."""
    mtbf_s = failures.gpu_mtbf_hours * HOUR_S / unit_gpus
    back_s = failures.detection_s + failures.replacement_s + weight_bytes / failures.reload_bytes_per_s
    up = mtbf_s / (mtbf_s + back_s)
    n_spare = next((n for n in range(_MOST) if at_least(n_needed, n_needed + n, up) >= failures.availability), _MOST)
    return Spares(
        pool=pool, unit_gpus=unit_gpus, n_needed=n_needed, unit_mtbf_s=mtbf_s, back_s=back_s, unit_up=up,
        n_spare=n_spare, availability=at_least(n_needed, n_needed + n_spare, up), without=up**n_needed,
    )  # fmt: skip


def at_least(n_needed: int, n_units: int, up: float) -> float:
    """Return the probability that at least `n_needed` of `n_units` are up, each with probability `up`."""
    return sum(comb(n_units, k) * up**k * (1.0 - up) ** (n_units - k) for k in range(n_needed, n_units + 1))
