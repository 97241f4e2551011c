"""What every curve shares: the chip's datasheet limits, smooth maximum, piecewise corrections."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Amount = float | FloatArray


@dataclass(frozen=True, kw_only=True)
class Chip:
    """Datasheet limits of one GPU: SMs, memory rate [bytes/s], dense peaks by precision [FLOP/s], links [bytes/s].

    `nvlink_bytes_per_s` and `nic_bytes_per_s` are one direction of one GPU.
    """

    n_sms: int
    hbm_bytes_per_s: float
    peak_flops_per_s: Mapping[str, float]
    nvlink_bytes_per_s: float
    nic_bytes_per_s: float

    def sm_flops_per_s(self, precision: str) -> float:
        """Return the peak of one SM [FLOP/s]."""
        return self.peak_flops_per_s[precision] / self.n_sms


Knots = tuple[float, ...]


def along(x: Amount, knots: Knots, log_factors: tuple[float, ...]) -> Amount:
    """Return the log correction at `x`: straight between `knots` over log x, constant beyond them.

    `knots` are natural logarithms of positions; constant ends keep extrapolation bounded.
    """
    if isinstance(x, float):
        return _straight(math.log(x), knots, log_factors)
    return np.asarray(np.interp(np.log(x), _array(knots), _array(log_factors)), dtype=np.float64)


def corrected(x: Amount, knots: Knots, log_factors: tuple[float, ...]) -> Amount:
    """Return x · exp(along(x)), made never to fall as x grows: a factor that drops faster than x rises is cut there."""
    rising = _rising(knots, log_factors)
    if isinstance(x, float):
        return x * math.exp(_straight(math.log(x), knots, rising))
    return np.asarray(x * np.exp(np.interp(np.log(x), _array(knots), _array(rising))))


def _straight(position: float, knots: Knots, values: tuple[float, ...]) -> float:
    """One position between `knots`, as `np.interp` does many: on plain floats, several times faster for one."""
    right = bisect_right(knots, position)
    if right == 0 or right == len(knots):
        return values[-1 if right else 0]
    low, value = knots[right - 1], values[right - 1]
    return (values[right] - value) / (knots[right] - low) * (position - low) + value


def knots_at(*positions: float) -> Knots:
    """Return the logarithms of `positions`, as `along` takes them."""
    return tuple(float(x) for x in np.log(positions))


@lru_cache(maxsize=4096)
def _array(values: tuple[float, ...]) -> FloatArray:
    """The values as an array; cached because curves are evaluated far more often than they change."""
    return np.asarray(values, dtype=np.float64)


@lru_cache(maxsize=4096)
def _rising(knots: Knots, log_factors: tuple[float, ...]) -> tuple[float, ...]:
    """The factors cut so that knot + factor never falls."""
    positions = np.asarray(knots, dtype=np.float64)
    return tuple((np.maximum.accumulate(positions + np.asarray(log_factors)) - positions).tolist())


def carried_rate(rate: float, share: Amount, fitted_rate: float) -> Amount:
    """Return the FLOP/s reached on a chip whose peak is `rate`, for a `share` fitted where the peak was `fitted_rate`.

    What a kernel loses beside its tensor work is time (issue, loads, barriers), not a share: 1/reached = 1/rate +
    (1/share - 1)/fitted_rate. Where the peaks are equal this is share · rate.
    """
    return 1.0 / (1.0 / rate + (1.0 / share - 1.0) / fitted_rate)


def smooth_max(a: Amount, b: Amount, sharpness: float) -> Amount:
    """Return (a^s + b^s)^(1/s): two resources in use at once, partly overlapping; the larger one when s is large."""
    if isinstance(a, float) and isinstance(b, float):
        least, most = (a, b) if a < b else (b, a)
        return most * math.pow(1.0 + math.pow(least / most, sharpness), 1.0 / sharpness)
    larger = np.maximum(a, b)
    return np.asarray(larger * (1.0 + (np.minimum(a, b) / larger) ** sharpness) ** (1.0 / sharpness))


BYTES_PER_ELEMENT = {"bf16": 2.0, "fp8": 1.0, "fp8_block": 1.0, "nvfp4": 0.5}


def bytes_per_element(precision: str) -> float:
    """Return the bytes of one number: 2 for bf16, 1 for fp8, a half for nvfp4."""
    return BYTES_PER_ELEMENT[precision]


def peak_name(precision: str) -> str:
    """Return the datasheet peak that bounds `precision`: block-scaled fp8 runs on the fp8 tensor cores."""
    return "fp8" if precision == "fp8_block" else precision
