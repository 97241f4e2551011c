"""Estimator of `mla_block_s`."""

from hw_profiles.curves.base import Amount, Chip, FloatArray
from hw_profiles.curves.mla_block import MlaBlockCurve, mla_block_s
from hw_profiles.fits.bounded import Free, fit_bounded

LOG_FACTOR = Free(low=-0.8, high=0.8, stiffness=0.08)
FREE = {
    "floor_s": Free(low=1e-6, high=1e-3),
    "sequence_s": Free(low=1e-10, high=1e-5),
    "token_s": Free(low=1e-10, high=1e-6),
    "weight_share": Free(low=0.1, high=1.0),
    "project_share": Free(low=0.1, high=1.0),
    "cache_share": Free(low=0.1, high=1.0),
    "attend_share": Free(low=0.05, high=1.0),
    "sharpness": Free(low=1.1, high=12.0),
    "log_attend": LOG_FACTOR,
    "log_length": LOG_FACTOR,
    "log_project": LOG_FACTOR,
}


def fit_mla_block(
    heads: Amount, hidden: Amount, tokens: Amount, sequences: Amount, length: Amount, seconds: FloatArray,
    *, chip: Chip, absorbed: bool, causal_share: float, eager_floor_s: float,
) -> MlaBlockCurve:  # fmt: skip
    """Return the coefficients of `mla_block_s`; `eager_floor_s` > 0 (its start): kernels were launched eagerly."""
    start = MlaBlockCurve(
        absorbed=absorbed, causal_share=causal_share, floor_s=4e-5, eager_floor_s=eager_floor_s, sequence_s=1e-8,
        token_s=2e-9, weight_share=0.6, project_share=0.5, cache_share=0.7, attend_share=0.5, sharpness=3.0,
    )  # fmt: skip
    eager = {"eager_floor_s": Free(low=1e-5, high=3e-3)} if eager_floor_s else {}
    return fit_bounded(
        lambda curve: mla_block_s(heads, hidden, tokens, sequences, length, chip=chip, curve=curve),
        start, FREE | eager, seconds,
    )  # fmt: skip
