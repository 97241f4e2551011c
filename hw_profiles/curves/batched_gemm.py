"""Batched products of MLA absorption: per head, x[tokens, 128] W[128, 512] before attention, its mirror after."""

from dataclasses import dataclass

import numpy as np

from hw_profiles.curves.base import Amount, Chip, FloatArray, bytes_per_element, corrected, knots_at, smooth_max

MEMORY_KNOTS = knots_at(1e6, 1e7, 1e8, 1e9)  # bytes moved


@dataclass(frozen=True, kw_only=True)
class BatchedGemmCurve:
    """Coefficients of `batched_gemm_s`; shares are of the datasheet's limits."""

    precision: str
    floor_s: float
    memory_share: float
    compute_share: float
    sharpness: float
    log_memory: tuple[float, ...] = (0.0,) * 4


def batched_gemm_s(
    tokens: Amount, heads: Amount, depth: Amount, columns: Amount, *, chip: Chip, curve: BatchedGemmCurve
) -> FloatArray:
    """Return the seconds of `heads` products x[tokens, depth] W[depth, columns]: floor + smooth_max(memory, compute).

    Inputs and outputs are bf16 in memory, weights have the curve's precision.
    """
    weight_bytes = heads * depth * columns * bytes_per_element(curve.precision)
    moved_bytes = weight_bytes + tokens * heads * (depth + columns) * 2.0
    memory_s = corrected(moved_bytes, MEMORY_KNOTS, curve.log_memory) / (chip.hbm_bytes_per_s * curve.memory_share)
    roofline_s = 2.0 * tokens * heads * depth * columns / chip.peak_flops_per_s[curve.precision]
    fitted_s = curve.floor_s + smooth_max(memory_s, roofline_s / curve.compute_share, curve.sharpness)
    return np.maximum(fitted_s, np.maximum(roofline_s, weight_bytes / chip.hbm_bytes_per_s))
