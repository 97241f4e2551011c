"""The two unknown times of a block pair from published speedups: the twin of `validation.block_pairs.speedup`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from validation.block_pairs import Design, PairTimes, speedup
from workloads.ops import FloatArray

LARGEST = 60.0  # times of one expert; no published ratio of the paper's models comes near
_STARTS = ((1.0, 4.0), (4.0, 10.0))


@dataclass(frozen=True, kw_only=True)
class Speedup:
    """One published figure: how many times faster than the standard top-2 MoE a design is, in "train" or
    "inference"."""

    design: Design
    phase: str
    value: float


def fit_pair(speedups: Sequence[Speedup], *, share: float, overhead: float | None = None) -> PairTimes:
    """Return the times whose speedups come nearest to the published ones: least squares of relative errors.

    `share` of the all-to-alls is given. `overhead` too where one figure cannot tell two unknowns. The elapsed time has
    kinks (what is longer, compute or traffic?), so the search takes no derivatives.
    """

    def times_of(unknowns: FloatArray) -> PairTimes:
        known = float(unknowns[-1]) if overhead is None else overhead
        return PairTimes(attention=float(unknowns[0]), overhead=known, share=share)

    def squares(unknowns: FloatArray) -> float:
        times = times_of(unknowns)
        return sum((speedup(s.design, times, s.phase) / s.value - 1.0) ** 2 for s in speedups)

    # published speedups have three digits: no need of more
    n = 2 if overhead is None else 1
    fits = [
        minimize(
            squares,
            np.array(start[:n]),
            method="Nelder-Mead",
            bounds=[(0.0, LARGEST)] * n,
            options={"xatol": 1e-3, "fatol": 1e-9},
        )
        for start in _STARTS
    ]
    return times_of(min(fits, key=lambda fit: float(fit.fun)).x)
