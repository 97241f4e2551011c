"""Estimator of `pipe_s`."""

from hw_profiles.curves.base import Amount, FloatArray
from hw_profiles.curves.pipe import PipeCurve, pipe_s
from hw_profiles.fits.bounded import Free, fit_bounded

FREE = {
    "floor_s": Free(low=1e-7, high=5e-4),
    "rank_s": Free(low=0.0, high=2e-5),
    "step_s": Free(low=0.0, high=5e-6),
    "share": Free(low=0.05, high=1.5),
    "growth": Free(low=-1.5, high=1.5, stiffness=0.05),
    "share_steps": Free(low=-3.0, high=3.0, stiffness=0.04),
    "growth_steps": Free(low=-2.0, high=2.0, stiffness=0.15),
}


def fit_pipe(n_bytes: Amount, ranks: Amount, seconds: FloatArray, *, link_bytes_per_s: Amount) -> PipeCurve:
    """Return the coefficients of `pipe_s` that follow the measured `seconds`."""
    start = PipeCurve(floor_s=5e-6, rank_s=1e-6, step_s=1e-7, share=0.7, growth=0.0)
    return fit_bounded(
        lambda curve: pipe_s(n_bytes, ranks, link_bytes_per_s=link_bytes_per_s, curve=curve), start, FREE, seconds
    )
