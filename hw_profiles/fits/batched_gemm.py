"""Estimator of `batched_gemm_s`."""

from hw_profiles.curves.base import Amount, Chip, FloatArray
from hw_profiles.curves.batched_gemm import BatchedGemmCurve, batched_gemm_s
from hw_profiles.fits.bounded import Free, fit_bounded

FREE = {
    "floor_s": Free(low=5e-7, high=2e-5),
    "memory_share": Free(low=0.1, high=1.0),
    "compute_share": Free(low=0.1, high=1.0),
    "sharpness": Free(low=1.2, high=12.0),
    "log_memory": Free(low=-1.0, high=1.0, stiffness=0.1),
}


def fit_batched_gemm(
    tokens: Amount, heads: Amount, depth: Amount, columns: Amount, seconds: FloatArray, *, chip: Chip, precision: str
) -> BatchedGemmCurve:
    """Return the coefficients of `batched_gemm_s` that follow the measured `seconds`."""
    start = BatchedGemmCurve(precision=precision, floor_s=4e-6, memory_share=0.7, compute_share=0.6, sharpness=3.0)
    return fit_bounded(
        lambda curve: batched_gemm_s(tokens, heads, depth, columns, chip=chip, curve=curve), start, FREE, seconds
    )
