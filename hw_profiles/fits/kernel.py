"""Estimator of `kernel_s`."""

import numpy as np
from scipy.optimize import least_squares

from hw_profiles.curves.base import FloatArray
from hw_profiles.curves.kernel import KernelCurve, kernel_s

LEAST_NOISE = 0.02  # spread below which a row weighs no more
OUTLIER = 0.1  # log error beyond which a row's pull grows no longer with its square
MARGIN = 1.5  # a true rate may be this much below the best one seen: a lucky row
WIDEST = 20.0  # and this much above
SHARPEST = 12.0
STARTS = ((1.0, 1.5, 1.5, 1.2), (0.1, 1.2, 1.2, 1.2), (0.5, 1.0, 1.0, 4.0))  # factors on the best seen; sharpness
HELD = 0.02  # pull of the sharpness towards its start: rows of one bound tell nothing of it


def fit_kernel(
    flops: FloatArray, moved_bytes: FloatArray, seconds: FloatArray, spread: FloatArray | None = None
) -> KernelCurve:
    """Return the coefficients of `kernel_s` that follow measured `seconds`: least log errors, steady rows (of small
    `spread`, interquartile range over median) weighing more, outliers bounded."""
    weights = 1.0 / np.maximum(np.zeros_like(seconds) if spread is None else spread, LEAST_NOISE)
    weights /= weights.max()
    best = np.array([seconds.min() / 2, (flops / seconds).max() or 1.0, (moved_bytes / seconds).max() or 1.0])
    low = np.append(best * [1e-4, 1 / MARGIN, 1 / MARGIN], 1.0)
    high = np.append(best * [2 * MARGIN, WIDEST, WIDEST], SHARPEST)

    def errors(theta: FloatArray) -> FloatArray:
        found = np.log(kernel_s(flops, moved_bytes, curve=_curve(theta)) / seconds)
        return np.append(weights * found, HELD * theta[3])

    tries = [
        least_squares(errors, np.log([*best * factors, sharpness]), bounds=(np.log(low), np.log(high)),
                      loss="soft_l1", f_scale=OUTLIER)
        for *factors, sharpness in STARTS
    ]  # fmt: skip
    found = _curve(min(tries, key=lambda solution: float(solution.cost)).x)
    return _what_was_seen(found, flops, moved_bytes)


def _curve(theta: FloatArray) -> KernelCurve:
    floor_s, flops_per_s, bytes_per_s, sharpness = (float(value) for value in np.exp(theta))
    return KernelCurve(floor_s=floor_s, flops_per_s=flops_per_s, bytes_per_s=bytes_per_s, sharpness=sharpness)


SEEN = 0.02  # share of a call's time below which a rate has left no trace in it


def _what_was_seen(curve: KernelCurve, flops: FloatArray, moved_bytes: FloatArray) -> KernelCurve:
    """Drop a rate that shapes none of the calls."""
    assert curve.flops_per_s and curve.bytes_per_s, "a fit has both rates"  # noqa: PT018
    whole_s = kernel_s(flops, moved_bytes, curve=curve)
    compute_s, memory_s = flops / curve.flops_per_s, moved_bytes / curve.bytes_per_s
    return KernelCurve(
        floor_s=curve.floor_s, sharpness=curve.sharpness,
        flops_per_s=curve.flops_per_s if (compute_s > SEEN * whole_s).any() else None,
        bytes_per_s=curve.bytes_per_s if (memory_s > SEEN * whole_s).any() else None,
    )  # fmt: skip
