"""Estimator of `grouped_gemm_s`."""

from hw_profiles.curves.base import Chip, FloatArray
from hw_profiles.curves.grouped_gemm import GroupedGemmCurve, expert_load, grouped_gemm_s
from hw_profiles.fits.bounded import Free, fit_bounded

LOG_FACTOR = Free(low=-0.8, high=0.8, stiffness=0.08)
FREE = {
    "floor_s": Free(low=1e-6, high=5e-4),
    "expert_s": Free(low=1e-9, high=2e-5),
    "memory_share": Free(low=0.1, high=1.0),
    "compute_share": Free(low=0.05, high=1.0),
    "row_traffic": Free(low=0.1, high=60.0),
    "token_s": Free(low=1e-12, high=1e-7),
    "sharpness": Free(low=1.1, high=12.0),
    "log_memory": LOG_FACTOR,
    "log_compute": LOG_FACTOR,
}


def fit_grouped_gemm(
    counts_E: FloatArray, hidden: FloatArray, inter: FloatArray, seconds: FloatArray, tokens: FloatArray,
    *, chip: Chip, row_tile: float, eager_floor_s: float = 0.0,
) -> GroupedGemmCurve:  # fmt: skip
    """Return the coefficients of `grouped_gemm_s` for measured rows with `counts_E` of shape (rows, draws, E).

    The measured seconds are means over the draws, and so is what is fitted.
    """
    start = GroupedGemmCurve(
        fitted_sm_flops_per_s=chip.sm_flops_per_s("fp8"),
        row_tile=row_tile, floor_s=2e-5, eager_floor_s=eager_floor_s, expert_s=1e-7, memory_share=0.8,
        compute_share=0.6, row_traffic=6.0, token_s=1e-10, sharpness=3.0,
    )  # fmt: skip
    eager = {"eager_floor_s": Free(low=1e-5, high=3e-3)} if eager_floor_s else {}
    load = expert_load(counts_E, row_tile=row_tile)

    def mean_s(curve: GroupedGemmCurve) -> FloatArray:
        draws_s = grouped_gemm_s(load, hidden[:, None], inter[:, None], chip=chip, curve=curve, tokens=tokens[:, None])
        return draws_s.mean(axis=-1)  # type: ignore[no-any-return]

    return fit_bounded(mean_s, start, FREE | eager, seconds)
