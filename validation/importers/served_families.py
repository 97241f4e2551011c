"""Kernels as serving backends run them, of an aiconfigurator package: expert layers and decode attention by backend."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hw_profiles.curves.base import Chip, FloatArray
from hw_profiles.curves.elementwise import ElementwiseCurve, elementwise_s
from hw_profiles.curves.gemm import GemmCurve, gemm_s
from hw_profiles.curves.grouped_gemm import GroupedGemmCurve, as_eight_bit, expert_load, grouped_gemm_s
from hw_profiles.fits.elementwise import fit_elementwise
from hw_profiles.fits.gemm import fit_gemm
from hw_profiles.fits.grouped_gemm import fit_grouped_gemm
from validation.expert_draws import busiest_rank_counts
from validation.families import Family, Rows, numbers, only
from validation.kernel_families import mark_slower_than_larger
from validation.tables import Table

# Bytes of one weight with its scales, and the arithmetic: FP8 blocks of 128 x 128; NVFP4 has an FP8 scale per 16, MXFP4
# a byte per 32 values (OCP MX 1.0), Kimi's INT4 a BF16 scale per 32 (its config.json).
EXPERT_FORMATS: Mapping[str, tuple[float, str]] = {
    "fp8_block": (1.0, "fp8"),
    "nvfp4": (0.5625, "fp4"),
    "w4a8_mxfp4_mxfp8": (0.53125, "fp8"),
    "w4a16_mxfp4": (0.53125, "bf16"),
    "int4_wo": (0.5625, "bf16"),
}
ROW_TILE = 16.0  # the least rows of a tile that these libraries' kernels for few tokens have
DRAWS = 4


def _counts(rows: Rows) -> FloatArray:
    """Token counts of the busiest rank, (rows, draws, experts), padded with experts that get nothing."""
    width = int((rows["experts"] // rows["ep"]).clip(lower=1).max())
    counts = []
    for row in rows.to_dict("records"):
        drawn_DE = busiest_rank_counts(
            str(row["distribution"]), tokens=int(row["num_tokens"]), top_k=int(row["topk"]),
            experts=int(row["experts"]), ranks=int(row["ep"]), n_draws=DRAWS,
        )  # fmt: skip
        counts.append(np.pad(drawn_DE, ((0, 0), (0, width - drawn_DE.shape[-1]))))
    return np.stack(counts)


def _seen(rows: Rows, chip: Chip) -> Chip:
    weight_bytes, arithmetic = EXPERT_FORMATS[only(rows, "dtype")]
    return as_eight_bit(chip, weight_bytes=weight_bytes, arithmetic=arithmetic)


def _fit_experts(rows: Rows, chip: Chip) -> GroupedGemmCurve:
    hidden, inter, tokens, seconds = numbers(rows, "hidden", "inter", "num_tokens", "seconds")
    return fit_grouped_gemm(
        _counts(rows), hidden, inter, seconds, tokens, chip=_seen(rows, chip), row_tile=ROW_TILE
    )  # fmt: skip


def _predict_experts(rows: Rows, chip: Chip, curve: GroupedGemmCurve) -> FloatArray:
    load = expert_load(_counts(rows), row_tile=curve.row_tile)
    hidden, inter, tokens = numbers(rows, "hidden", "inter", "num_tokens")
    draws_s = grouped_gemm_s(load, hidden[:, None], inter[:, None], chip=_seen(rows, chip), curve=curve,
                             tokens=tokens[:, None])  # fmt: skip
    return np.asarray(draws_s.mean(axis=-1))


SERVED_EXPERTS = Family(
    name="served_experts",
    table=Table(file="moe_perf.parquet",
                columns=["system", "backend", "dtype", "hidden", "inter", "topk", "experts", "ep", "distribution",
                         "num_tokens", "latency_us"],
                group=["backend", "dtype"], site=["hidden", "inter", "experts", "ep"],
                shape=["hidden", "inter", "topk", "experts", "ep", "distribution", "num_tokens"],
                times={"": "latency_us"}),
    curve=GroupedGemmCurve,
    fit=_fit_experts,
    predict=_predict_experts,
    axes=["ep", "num_tokens"],
)  # fmt: skip


SERVED_FP4 = Family(
    name="served_fp4",
    table=Table(file="gemm_perf.parquet", columns=["system", "backend", "m", "n", "k", "latency_us"],
                group=["backend"], site=["n", "k"], shape=["m", "n", "k"], times={"": "latency_us"},
                prepare=lambda frame: frame.assign(dtype="nvfp4"), mark_faults=mark_slower_than_larger),
    curve=GemmCurve,
    fit=lambda rows, chip: fit_gemm(*numbers(rows, "m", "n", "k", "seconds"), chip=_seen(rows, chip), precision="fp8"),
    predict=lambda rows, chip, curve: gemm_s(*numbers(rows, "m", "n", "k"), chip=_seen(rows, chip), curve=curve),
    axes=["m", "n", "k"],
)  # fmt: skip


def _read_bytes(frame: pd.DataFrame) -> pd.DataFrame:
    """Keys and values of the cache."""
    value_bytes = np.where(frame["kv_dtype"] == "fp8", 1.0, 2.0)
    n_bytes = frame["batch_size"] * frame["kv_len"] * frame["kv_heads"] * frame["head_dim"] * 2.0 * value_bytes
    return frame.assign(read_bytes=n_bytes)


SERVED_DECODE = Family(
    name="served_decode",
    table=Table(file="generation_attention_perf.parquet",
                columns=["system", "backend", "kv_dtype", "head_dim", "kv_heads", "batch_size", "kv_len", "latency_us"],
                group=["backend", "kv_dtype"], site=["head_dim", "kv_heads"],
                shape=["head_dim", "kv_heads", "heads", "batch_size", "kv_len"], times={"": "latency_us"},
                prepare=_read_bytes),
    curve=ElementwiseCurve,
    fit=lambda rows, chip: fit_elementwise(*numbers(rows, "read_bytes", "seconds"), chip=chip),
    predict=lambda rows, chip, curve: elementwise_s(*numbers(rows, "read_bytes"), chip=chip, curve=curve),
    axes=["batch_size", "kv_len"],
)  # fmt: skip
