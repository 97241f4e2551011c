"""Estimators of `mla_decode_s` and `mla_prefill_s`."""

from hw_profiles.curves.base import Amount, Chip, FloatArray
from hw_profiles.curves.mla import MlaDecodeCurve, MlaPrefillCurve, mla_decode_s, mla_prefill_s
from hw_profiles.fits.bounded import Free, fit_bounded

LOG_FACTOR = Free(low=-0.7, high=0.7, stiffness=0.08)
DECODE = {
    "floor_s": Free(low=5e-7, high=3e-5),
    "item_s": Free(low=1e-8, high=3e-5),
    "chain_s": Free(low=1e-8, high=5e-6),
    "chain_blocks": Free(low=1.0, high=64.0),
    "split_s": Free(low=1e-9, high=5e-6),
    "wave_share": Free(low=0.0, high=1.0),
    "memory_share": Free(low=0.2, high=1.0),
    "compute_share": Free(low=0.1, high=1.0),
    "row_share": Free(low=0.0, high=1.0),
    "sharpness": Free(low=1.1, high=12.0),
    "log_memory": LOG_FACTOR,
    "log_compute": LOG_FACTOR,
    "log_length": LOG_FACTOR,
}
PREFILL = {
    "floor_s": Free(low=5e-7, high=5e-5),
    "tile_s": Free(low=1e-9, high=5e-5),
    "memory_share": Free(low=0.05, high=1.0),
    "compute_share": Free(low=0.1, high=1.0),
    "wave_share": Free(low=0.0, high=1.0),
    "sharpness": Free(low=1.1, high=12.0),
    "log_compute": LOG_FACTOR,
    "log_length": LOG_FACTOR,
}


def fit_mla_decode(
    heads: Amount, queries: Amount, batch: Amount, kv: Amount, seconds: FloatArray,
    *, chip: Chip, precision: str, kv_precision: str,
) -> MlaDecodeCurve:  # fmt: skip
    """Return the coefficients of `mla_decode_s` that follow the measured `seconds`."""
    start = MlaDecodeCurve(
        precision=precision, kv_precision=kv_precision,
        fitted_sm_flops_per_s=chip.sm_flops_per_s(precision), floor_s=1.2e-5, item_s=1e-6, chain_s=5e-7,
        chain_blocks=8.0, split_s=5e-7, wave_share=0.5, memory_share=0.8, compute_share=0.6, row_share=0.1,
        sharpness=3.0,
    )  # fmt: skip
    return fit_bounded(
        lambda curve: mla_decode_s(heads, queries, batch, kv, chip=chip, curve=curve), start, DECODE, seconds
    )


def fit_mla_prefill(
    heads: Amount, batch: Amount, length: Amount, seconds: FloatArray,
    *, chip: Chip, precision: str, key_width: float, value_width: float,
) -> MlaPrefillCurve:  # fmt: skip
    """Return the coefficients of `mla_prefill_s` that follow the measured `seconds`."""
    start = MlaPrefillCurve(
        precision=precision, key_width=key_width, value_width=value_width, floor_s=1.2e-5, tile_s=1e-6,
        memory_share=0.6, compute_share=0.6, wave_share=0.5, sharpness=2.0,
    )  # fmt: skip
    return fit_bounded(
        lambda curve: mla_prefill_s(heads, batch, length, chip=chip, curve=curve), start, PREFILL, seconds
    )
