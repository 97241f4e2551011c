"""What every curve shares: the chip's datasheet limits, smooth maximum, piecewise corrections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


def along(x: Amount, knots: FloatArray, log_factors: Sequence[float]) -> FloatArray:
    """Return the log correction at `x`: straight between `knots` over log x, constant beyond them.

    `knots` are natural logarithms of positions; constant ends keep extrapolation bounded.
    """
    return np.asarray(np.interp(np.log(x), knots, log_factors), dtype=np.float64)


def corrected(x: Amount, knots: FloatArray, log_factors: Sequence[float]) -> FloatArray:
    """Return x · exp(along(x)), made never to fall as x grows: a factor that drops faster than x rises is cut there."""
    rising = np.maximum.accumulate(knots + np.asarray(log_factors)) - knots
    return np.asarray(x * np.exp(along(x, knots, tuple(rising))))


def knots_at(*positions: float) -> FloatArray:
    """Return the logarithms of `positions`, as `along` takes them."""
    return np.log(np.asarray(positions, dtype=np.float64))


def smooth_max(a: Amount, b: Amount, sharpness: float) -> FloatArray:
    """Return (a^s + b^s)^(1/s): two resources in use at once, partly overlapping; the larger one when s is large."""
    larger = np.maximum(a, b)
    return np.asarray(larger * (1.0 + (np.minimum(a, b) / larger) ** sharpness) ** (1.0 / sharpness))


def bytes_per_element(precision: str) -> float:
    """Return the bytes of one number: 2 for bf16, 1 for fp8, a half for nvfp4."""
    return {"bf16": 2.0, "fp8": 1.0, "fp8_block": 1.0, "nvfp4": 0.5}[precision]


def peak_name(precision: str) -> str:
    """Return the datasheet peak that bounds `precision`: block-scaled fp8 runs on the fp8 tensor cores."""
    return "fp8" if precision == "fp8_block" else precision
