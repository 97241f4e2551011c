"""Dense matrix products: tiles in waves over the SMs against weights and activations over memory.

Names: m rows (tokens), n columns (outputs), k the summed dimension; y = x W^T with x of m × k and W of n × k.
"""

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from hw_profiles.curves.base import (
    Amount,
    Chip,
    FloatArray,
    along,
    bytes_per_element,
    carried_rate,
    corrected,
    knots_at,
    peak_name,
    smooth_max,
)

# Tiles (rows, columns) that the Hopper libraries choose among; the fastest is taken, as their heuristics try to.
TILE_ROWS = np.array([64.0, 64.0, 128.0, 128.0, 64.0])
TILE_COLUMNS = np.array([64.0, 128.0, 128.0, 256.0, 256.0])
TILE_FLOPS = 2.0 * TILE_ROWS * TILE_COLUMNS  # per summed element
COMPUTE_KNOTS = knots_at(5e-6, 2e-5, 8e-5, 3e-4, 1.2e-3, 5e-3, 2e-2)  # seconds of tile work: ramp-up, then power limit
COLUMN_KNOTS = knots_at(256, 1024, 4096, 16384, 65536)
DEPTH_KNOTS = knots_at(512, 1536, 4096, 7168, 16384)
WEIGHT_KNOTS = knots_at(1e6, 4e6, 1.5e7, 6e7, 4.5e8)  # bytes of W
ROW_STEP = 64.0  # rows of the smallest tile: memory time grows by whole row tiles
ROW_KNOTS = knots_at(64, 128, 192, 256, 320, 512)


@dataclass(frozen=True, kw_only=True)
class GemmCurve:
    """Coefficients of `gemm_s`. Shares are of the datasheet's limits; log_* are log factors at the module's knots;
    `fitted_sm_flops_per_s` is one SM's peak where `tile_shares` were fitted.

    `row_steps` are steps of the log factor on memory time from one row knot to the next: never negative, so that more
    tokens never take less time. `wave_share`: the part of a last, unfilled wave that is paid (0 = work spreads evenly).
    """

    precision: str
    fitted_sm_flops_per_s: float
    floor_s: float
    floor_s_per_depth: float
    quantise_share: float
    memory_share: float
    tile_shares: tuple[float, ...]
    wave_share: float
    sharpness: float
    log_compute: tuple[float, ...] = (0.0,) * 7
    log_compute_columns: tuple[float, ...] = (0.0,) * 5
    log_compute_depth: tuple[float, ...] = (0.0,) * 5
    log_memory_weights: tuple[float, ...] = (0.0,) * 5
    log_memory_depth: tuple[float, ...] = (0.0,) * 5
    row_steps: tuple[float, ...] = (0.02,) * 5


def gemm_s(m: Amount, n: Amount, k: Amount, *, chip: Chip, curve: GemmCurve) -> FloatArray:
    """Return the seconds of y[m, n] = x[m, k] W[n, k]^T, activation quantisation included where `curve` is fp8_block.

    floor + smooth_max(memory, tiles), never below the datasheet's roofline.
    """
    element_bytes = bytes_per_element(curve.precision)
    weight_bytes = n * k * element_bytes
    moved_bytes = weight_bytes + m * k * element_bytes + m * n * 2.0
    memory_s = (
        moved_bytes / (chip.hbm_bytes_per_s * curve.memory_share) * np.exp(_log_memory(m, k, weight_bytes, curve))
    )
    floor_s = curve.floor_s + curve.floor_s_per_depth * k
    if curve.precision == "fp8_block":  # read bf16, write fp8
        floor_s = floor_s + m * k * 3.0 / (chip.hbm_bytes_per_s * curve.quantise_share)
    fitted_s = floor_s + smooth_max(memory_s, _tiles_s(m, n, k, chip, curve), curve.sharpness)
    return np.maximum(fitted_s, gemm_roofline_s(m, n, k, chip=chip, precision=curve.precision))


def gemm_roofline_s(m: Amount, n: Amount, k: Amount, *, chip: Chip, precision: str) -> FloatArray:
    """Return the least seconds that the datasheet allows: FLOPs over the peak, or weights over the memory rate."""
    compute_s = 2.0 * m * n * k / chip.peak_flops_per_s[peak_name(precision)]
    return np.maximum(compute_s, n * k * bytes_per_element(precision) / chip.hbm_bytes_per_s)


def _tiles_s(m: Amount, n: Amount, k: Amount, chip: Chip, curve: GemmCurve) -> FloatArray:
    """Seconds of the tile work under the fastest tile: waves × one tile's work over one SM's share of the peak."""
    precision = peak_name(curve.precision)
    axes = (-1,) + (1,) * max(np.ndim(m), np.ndim(n), np.ndim(k))
    rows, columns = TILE_ROWS.reshape(axes), TILE_COLUMNS.reshape(axes)
    filled = np.ceil(m / rows) * np.ceil(n / columns) / chip.n_sms
    waves = filled + curve.wave_share * (np.ceil(filled) - filled)
    shares = np.asarray(curve.tile_shares).reshape(axes)
    tile_rate = carried_rate(chip.sm_flops_per_s(precision), shares, curve.fitted_sm_flops_per_s)
    work_s = (waves * (TILE_FLOPS.reshape(axes) / tile_rate)).min(axis=0) * k
    by_shape = along(n, COLUMN_KNOTS, curve.log_compute_columns) + along(k, DEPTH_KNOTS, curve.log_compute_depth)
    return np.asarray(corrected(work_s, COMPUTE_KNOTS, curve.log_compute) * np.exp(by_shape))


def _log_memory(m: Amount, k: Amount, weight_bytes: Amount, curve: GemmCurve) -> FloatArray:
    """Log factor on memory time: size of W (small ones do not fill the pipe), depth, and rows beside them."""
    by_rows = along(np.ceil(m / ROW_STEP) * ROW_STEP, ROW_KNOTS, tuple(accumulate(curve.row_steps, initial=0.0)))
    return (
        along(weight_bytes, WEIGHT_KNOTS, curve.log_memory_weights)
        + along(k, DEPTH_KNOTS, curve.log_memory_depth)
        + by_rows
    )
