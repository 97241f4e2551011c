"""Estimator of `pipe_s`."""

from hw_profiles.curves.base import Amount, FloatArray
from hw_profiles.curves.pipe import PipeCurve, pipe_s
from hw_profiles.fits.bounded import Free, fit_bounded

FREE = {
    "floor_s": Free(low=1e-7, high=5e-4),
    "rank_s": Free(low=0.0, high=2e-5),
    "step_s": Free(low=0.0, high=5e-6),
    "knee_s": Free(low=1e-8, high=5e-4),
    "share": Free(low=0.05, high=1.5),
    "rank_loss": Free(low=-0.15, high=0.5, stiffness=0.05),
    "sharpness": Free(low=0.8, high=12.0),
    "log_bytes": Free(low=-1.0, high=1.0, stiffness=0.06),
}


def fit_pipe(n_bytes: Amount, ranks: Amount, seconds: FloatArray, *, link_bytes_per_s: Amount) -> PipeCurve:
    """Return the coefficients of `pipe_s` that follow the measured `seconds`."""
    start = PipeCurve(floor_s=5e-6, rank_s=1e-6, step_s=1e-7, knee_s=2e-6, share=0.7, rank_loss=0.0, sharpness=2.0)
    return fit_bounded(
        lambda curve: pipe_s(n_bytes, ranks, link_bytes_per_s=link_bytes_per_s, curve=curve), start, FREE, seconds
    )
