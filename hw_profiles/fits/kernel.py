"""Estimator of `kernel_s`."""

from dataclasses import replace

import numpy as np
from scipy.optimize import least_squares

from hw_profiles.curves.base import FloatArray
from hw_profiles.curves.kernel import KernelCurve, kernel_s

LEAST_NOISE = 0.02  # spread below which a row weighs no more
OUTLIER = 0.1  # log error beyond which a row's pull grows no longer with its square
MARGIN = 1.5  # a true rate may be this much below the best one seen: a lucky row
WIDEST = 20.0  # and this much above
SHARPEST = 12.0
HELD = 0.02  # pull of the sharpness towards 1: rows of one bound tell nothing of it
STARTS = ((1.0, 1.5, 1.5, 1.2), (0.1, 1.2, 1.2, 1.2), (0.5, 1.0, 1.0, 4.0))  # factors on the best seen; sharpness
WORTH = 1.1  # a second rate has to lower the cost by this factor,
EXACT = 1e-6  # beyond what counts as no error at all, per row


def fit_kernel(
    flops: FloatArray, moved_bytes: FloatArray, seconds: FloatArray, spread: FloatArray | None = None
) -> KernelCurve:
    """Return the coefficients of `kernel_s` that follow measured `seconds`: least log errors, steady rows (of small
    `spread`, interquartile range over median) weighing more, outliers bounded.

    A rate without which the rows are followed as well is left out: none of the calls was bound by it.
    """
    weights, zeros = _weights(seconds, spread), np.zeros_like(seconds)
    fits = []
    for f, b in ((zeros, moved_bytes), (flops, zeros), (flops, moved_bytes)):  # of equals the first
        if f.any() or b.any():
            best = np.array([seconds.min() / 2, (f / seconds).max() or 1.0, (b / seconds).max() or 1.0])
            starts = [np.array([*best * factors, sharpness]) for *factors, sharpness in STARTS]
            fits.append(_fit(f, b, seconds, weights, starts))
    least = min(cost for cost, _ in fits)
    return next(curve for cost, curve in fits if cost <= WORTH * least + EXACT * len(seconds))


def refit_kernel(
    curve: KernelCurve, flops: FloatArray, moved_bytes: FloatArray, seconds: FloatArray,
    spread: FloatArray | None = None,
) -> KernelCurve:  # fmt: skip
    """Return the coefficients that follow these rows, from `curve` on, which knows what binds: one search, for rows
    that are nearly those `curve` was fitted on."""
    f = flops if curve.flops_per_s else np.zeros_like(seconds)
    b = moved_bytes if curve.bytes_per_s else np.zeros_like(seconds)
    start = np.array([curve.floor_s, curve.flops_per_s or 1.0, curve.bytes_per_s or 1.0, curve.sharpness])
    return _fit(f, b, seconds, _weights(seconds, spread), [start])[1]


def _weights(seconds: FloatArray, spread: FloatArray | None) -> FloatArray:
    weights = 1.0 / np.maximum(np.zeros_like(seconds) if spread is None else spread, LEAST_NOISE)
    return np.asarray(weights / weights.max())


def _fit(
    flops: FloatArray, moved_bytes: FloatArray, seconds: FloatArray, weights: FloatArray, starts: list[FloatArray]
) -> tuple[float, KernelCurve]:
    """The cost and the best curve for these amounts: floor, FLOP/s, bytes/s and sharpness from each of `starts`."""
    best = np.array([seconds.min() / 2, (flops / seconds).max() or 1.0, (moved_bytes / seconds).max() or 1.0])
    low = np.append(best * [1e-4, 1 / MARGIN, 1 / MARGIN], 1.0)
    high = np.append(best * [2 * MARGIN, WIDEST, WIDEST], SHARPEST)

    def errors(theta: FloatArray) -> FloatArray:
        found = np.log(kernel_s(flops, moved_bytes, curve=_curve(theta)) / seconds)
        return np.append(weights * found, HELD * theta[3])

    bounds = (np.log(low), np.log(high))
    tries = [
        least_squares(errors, np.clip(np.log(start), *bounds), bounds=bounds, loss="soft_l1", f_scale=OUTLIER)
        for start in starts
    ]
    solution = min(tries, key=lambda tried: float(tried.cost))
    curve = _curve(solution.x)
    return float(solution.cost), replace(
        curve, flops_per_s=curve.flops_per_s if flops.any() else None,
        bytes_per_s=curve.bytes_per_s if moved_bytes.any() else None,
    )  # fmt: skip


def _curve(theta: FloatArray) -> KernelCurve:
    floor_s, flops_per_s, bytes_per_s, sharpness = (float(value) for value in np.exp(theta))
    return KernelCurve(floor_s=floor_s, flops_per_s=flops_per_s, bytes_per_s=bytes_per_s, sharpness=sharpness)
