"""Dense matrix products: tiles in waves over the SMs against weights and activations over memory.

Names: m rows (tokens), n columns (outputs), k the summed dimension; y = x W^T with x of m × k and W of n × k.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
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

ROWS_OF_TILES = (64.0, 128.0)
COLUMNS_OF_TILES: Mapping[str, tuple[float, ...]] = {  # what each library has: cuBLAS, and DeepGEMM for fp8
    "bf16": (16.0, 32.0, 64.0, 96.0, 128.0, 160.0, 192.0, 256.0),
    "fp8": (16.0, 32.0, 64.0, 96.0, 112.0, 128.0),
}
COMPUTE_KNOTS = knots_at(5e-6, 2e-5, 8e-5, 3e-4, 1.2e-3, 5e-3, 2e-2)  # seconds of tile work: ramp-up, then power limit
COLUMN_KNOTS = knots_at(256, 1024, 4096, 16384, 65536)
DEPTH_KNOTS = knots_at(512, 1536, 4096, 7168, 16384)
WEIGHT_KNOTS = knots_at(1e6, 4e6, 1.5e7, 6e7, 4.5e8)  # bytes of W
ROW_STEP = 64.0  # rows of the smallest tile: memory time grows by whole row tiles
ROW_KNOTS = knots_at(64, 128, 192, 256, 320, 512)


@dataclass(frozen=True, kw_only=True)
class GemmCurve:
    """Coefficients of `gemm_s`. Shares are of the datasheet's limits; log_* are log factors at the module's knots;
    `fitted_sm_flops_per_s` is one SM's peak where the shares were fitted.

    A tile of r rows and c columns reaches `tile_share` / (1 + `column_values`/r + `row_values`/c) of its SM's peak:
    each summed element loads r + c values for r · c products, so small tiles wait for their operands.

    `row_steps` are steps of the log factor on memory time from one row knot to the next: never negative, so that more
    tokens never take less time. `wave_share`: the part of a last, unfilled wave that is paid (0 = work spreads evenly).
    """

    precision: str
    fitted_sm_flops_per_s: float
    floor_s: float
    floor_s_per_depth: float
    quantise_share: float
    memory_share: float
    tile_share: float
    row_values: float
    column_values: float
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
    memory_s = moved_bytes / (chip.hbm_bytes_per_s * curve.memory_share) * _memory_factor(m, k, weight_bytes, curve)
    floor_s = curve.floor_s + curve.floor_s_per_depth * k
    if curve.precision == "fp8_block":  # read bf16, write fp8
        floor_s = floor_s + m * k * 3.0 / (chip.hbm_bytes_per_s * curve.quantise_share)
    fitted_s = floor_s + smooth_max(memory_s, _tiles_s(m, n, k, chip, curve), curve.sharpness)
    seconds: FloatArray = np.maximum(fitted_s, gemm_roofline_s(m, n, k, chip=chip, precision=curve.precision))
    return seconds


def gemm_roofline_s(m: Amount, n: Amount, k: Amount, *, chip: Chip, precision: str) -> FloatArray:
    """Return the least seconds that the datasheet allows: FLOPs over the peak, or weights over the memory rate."""
    compute_s = 2.0 * m * n * k / chip.peak_flops_per_s[peak_name(precision)]
    seconds: FloatArray = np.maximum(compute_s, n * k * bytes_per_element(precision) / chip.hbm_bytes_per_s)
    return seconds


def _tiles_s(m: Amount, n: Amount, k: Amount, chip: Chip, curve: GemmCurve) -> Amount:
    """Seconds of the tile work under the fastest tile: waves × one tile's work over one SM's share of the peak."""
    peak = chip.sm_flops_per_s(peak_name(curve.precision))
    rows, columns, costs = _tiles(curve, peak)
    one_shape = isinstance(m, float) and isinstance(n, float) and isinstance(k, float)
    if not one_shape:
        axes = (-1,) + (1,) * max(np.ndim(m), np.ndim(n), np.ndim(k))
        rows, columns, costs = rows.reshape(axes), columns.reshape(axes), costs.reshape(axes)
    filled = np.ceil(m / rows) * np.ceil(n / columns) / chip.n_sms
    waves = filled + curve.wave_share * (np.ceil(filled) - filled)
    least = (waves * costs).min(axis=0)
    work_s = (float(least) if one_shape else least) * k
    by_shape = along(n, COLUMN_KNOTS, curve.log_compute_columns) + along(k, DEPTH_KNOTS, curve.log_compute_depth)
    return corrected(work_s, COMPUTE_KNOTS, curve.log_compute) * _exp(by_shape)


@lru_cache(maxsize=256)
def _tiles(curve: GemmCurve, peak: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Rows and columns of the tiles to choose among, and the seconds of each per summed element on one SM.

    The fastest is taken, as the libraries' heuristics try to; cached, for it depends on curve and chip alone.
    """
    columns_of_tiles = COLUMNS_OF_TILES[peak_name(curve.precision)]
    rows = np.repeat(ROWS_OF_TILES, len(columns_of_tiles))
    columns = np.tile(columns_of_tiles, len(ROWS_OF_TILES))
    shares = curve.tile_share / (1.0 + curve.column_values / rows + curve.row_values / columns)
    return rows, columns, 2.0 * rows * columns / carried_rate(peak, shares, curve.fitted_sm_flops_per_s)


def _memory_factor(m: Amount, k: Amount, weight_bytes: Amount, curve: GemmCurve) -> Amount:
    """Factor on memory time: size of W (small ones do not fill the pipe), depth, and rows beside them."""
    tiled = math.ceil(m / ROW_STEP) * ROW_STEP if isinstance(m, float) else np.ceil(m / ROW_STEP) * ROW_STEP
    return _exp(
        along(weight_bytes, WEIGHT_KNOTS, curve.log_memory_weights)
        + along(k, DEPTH_KNOTS, curve.log_memory_depth)
        + along(tiled, ROW_KNOTS, _climbing(curve.row_steps))
    )


@lru_cache(maxsize=256)
def _climbing(steps: tuple[float, ...]) -> tuple[float, ...]:
    """Log factors at the row knots."""
    return tuple(accumulate(steps, initial=0.0))


def _exp(x: Amount) -> Amount:
    """e^x; on a plain float without numpy's overhead."""
    return math.exp(x) if isinstance(x, float) else np.exp(x)
