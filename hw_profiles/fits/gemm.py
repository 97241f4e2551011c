"""Estimator of `gemm_s`."""

from dataclasses import replace

from hw_profiles.curves.base import Amount, Chip, FloatArray, peak_name
from hw_profiles.curves.gemm import GemmCurve, gemm_s
from hw_profiles.fits.bounded import Free, fit_bounded

START = GemmCurve(
    precision="bf16",
    fitted_sm_flops_per_s=989.4e12 / 132,
    floor_s=3e-6,
    floor_s_per_depth=1e-11,
    quantise_share=0.8,
    memory_share=0.88,
    tile_share=0.85,
    row_values=24.0,
    column_values=16.0,
    wave_share=0.5,
    sharpness=3.0,
)
SOFT_ERROR = 0.02  # below the tables' own repeatability (3 %): one run in ten is off by over 10 %
LOG_FACTOR = Free(low=-1.0, high=1.0, stiffness=0.3)
FREE = {
    "floor_s": Free(low=5e-7, high=1e-5),
    "floor_s_per_depth": Free(low=1e-13, high=1e-9),
    "memory_share": Free(low=0.4, high=1.0),
    "tile_share": Free(low=0.3, high=1.0),
    "row_values": Free(low=1.0, high=400.0, stiffness=0.1),
    "column_values": Free(low=1.0, high=400.0, stiffness=0.1),
    "wave_share": Free(low=0.0, high=1.0),
    "sharpness": Free(low=1.2, high=12.0),
    "log_compute": LOG_FACTOR,
    "log_compute_columns": LOG_FACTOR,
    "log_compute_depth": LOG_FACTOR,
    "log_memory_weights": LOG_FACTOR,
    "log_memory_depth": LOG_FACTOR,
    "row_steps": Free(low=0.0, high=0.5, stiffness=0.2),
}


def fit_gemm(m: Amount, n: Amount, k: Amount, seconds: FloatArray, *, chip: Chip, precision: str) -> GemmCurve:
    """Return the coefficients of `gemm_s` that follow the measured `seconds` of products m × n × k."""
    quantise = {"quantise_share": Free(low=0.1, high=1.0)} if precision == "fp8_block" else {}
    start = replace(START, precision=precision, fitted_sm_flops_per_s=chip.sm_flops_per_s(peak_name(precision)))
    return fit_bounded(
        lambda curve: gemm_s(m, n, k, chip=chip, curve=curve), start, FREE | quantise, seconds, soft_error=SOFT_ERROR
    )
