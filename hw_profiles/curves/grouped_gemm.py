"""Expert layers: two grouped products (gate and up, then down) over the token counts of one rank's experts.

Names: E experts of the rank; counts may be stacked over draws: (…, E). A skewed load is just other counts.
"""

from dataclasses import dataclass, replace

import numpy as np

from hw_profiles.curves.base import Amount, Chip, FloatArray, carried_rate, corrected, knots_at, smooth_max

WEIGHT_KNOTS = knots_at(2e7, 8e7, 3e8, 1.2e9, 6e9)  # bytes of the experts that got tokens
WORK_KNOTS = knots_at(2e-6, 2e-5, 1e-4, 5e-4, 2e-3, 1e-2)


@dataclass(frozen=True, kw_only=True)
class ExpertLoad:
    """What a grouped product does with its counts: experts with tokens, rows, rows padded to the row tile."""

    active: Amount
    rows: Amount
    padded_rows: Amount


@dataclass(frozen=True, kw_only=True)
class GroupedGemmCurve:
    """Coefficients of `grouped_gemm_s`.

    `row_tile`: rows of one tile (each expert's count is padded to it); `expert_s`: time per expert with tokens;
    `eager_floor_s`: host launches that short device work hides under (0 under a graph); `row_rate_share`: memory share
    of the kernels around the products (permutation, activation, quantisation, summing), `row_traffic` bytes per row
    and hidden value.
    """

    fitted_sm_flops_per_s: float
    row_tile: float
    floor_s: float
    eager_floor_s: float
    expert_s: float
    memory_share: float
    compute_share: float
    row_traffic: float
    token_s: float
    sharpness: float
    log_memory: tuple[float, ...] = (0.0,) * 5
    log_compute: tuple[float, ...] = (0.0,) * 6


def expert_load(counts_E: FloatArray, *, row_tile: float) -> ExpertLoad:
    """Return the load of the last axis of `counts_E` (tokens per expert); a fraction is part of an expert."""
    counts_E = np.asarray(counts_E, dtype=np.float64)
    padded_E = np.ceil(counts_E / row_tile) * row_tile
    return ExpertLoad(
        active=np.minimum(counts_E, 1.0).sum(axis=-1), rows=counts_E.sum(axis=-1), padded_rows=padded_E.sum(axis=-1)
    )


def as_eight_bit(chip: Chip, *, weight_bytes: float, arithmetic: str) -> Chip:
    """Return the chip as experts of `weight_bytes` per weight, multiplied in `arithmetic`, see it, counted as 8-bit
    ones: its memory passes 1 / `weight_bytes` as many of them, its peak is that of the arithmetic."""
    peak = chip.peak_flops_per_s[arithmetic]
    return replace(chip, hbm_bytes_per_s=chip.hbm_bytes_per_s / weight_bytes, peak_flops_per_s={"fp8": peak})


def grouped_gemm_s(
    load: ExpertLoad, hidden: Amount, inter: Amount, *, chip: Chip, curve: GroupedGemmCurve, tokens: Amount = 0.0
) -> FloatArray:
    """Return the seconds of one rank's experts (hidden × 2·inter, then inter × hidden), 8-bit weights.

    floor + experts + row traffic + smooth_max(weights over memory, padded FLOPs over the peak); `tokens` enter the
    layer (router and top-k of a fused layer are paid per token). Never below the roofline.
    """
    weight_bytes = load.active * 3.0 * hidden * inter
    roofline_memory_s = weight_bytes / chip.hbm_bytes_per_s
    row_flops = 6.0 * hidden * inter / chip.peak_flops_per_s["fp8"]
    read_bytes = corrected(np.maximum(weight_bytes, 1.0), WEIGHT_KNOTS, curve.log_memory)
    memory_s = read_bytes / (chip.hbm_bytes_per_s * curve.memory_share)
    reached = carried_rate(chip.sm_flops_per_s("fp8"), curve.compute_share, curve.fitted_sm_flops_per_s) * chip.n_sms
    compute_s = load.padded_rows * 6.0 * hidden * inter / reached
    compute_s = corrected(np.maximum(compute_s, 1e-9), WORK_KNOTS, curve.log_compute)
    around_s = load.rows * hidden * curve.row_traffic / chip.hbm_bytes_per_s + curve.token_s * tokens
    device_s = curve.floor_s + curve.expert_s * load.active + around_s
    device_s = device_s + smooth_max(memory_s, compute_s, curve.sharpness)
    fitted_s = smooth_max(device_s, curve.eager_floor_s, 6.0) if curve.eager_floor_s else device_s
    return np.maximum(fitted_s, np.maximum(roofline_memory_s, load.rows * row_flops))
