"""The compute tables of hopper/: GEMM, absorption, MLA kernels and block, expert layers."""

import numpy as np
import pandas as pd

from hw_profiles.curves.base import Chip, FloatArray
from hw_profiles.curves.batched_gemm import BatchedGemmCurve, batched_gemm_s
from hw_profiles.curves.gemm import GemmCurve, gemm_s
from hw_profiles.curves.grouped_gemm import GroupedGemmCurve, expert_load, grouped_gemm_s
from hw_profiles.curves.mla import MlaDecodeCurve, MlaPrefillCurve, mla_decode_s, mla_prefill_s
from hw_profiles.curves.mla_block import MlaBlockCurve, mla_block_s
from hw_profiles.fits.batched_gemm import fit_batched_gemm
from hw_profiles.fits.gemm import fit_gemm
from hw_profiles.fits.grouped_gemm import fit_grouped_gemm
from hw_profiles.fits.mla import fit_mla_decode, fit_mla_prefill
from hw_profiles.fits.mla_block import fit_mla_block
from validation.expert_draws import busiest_rank_counts, packed_counts
from validation.families import Family, Rows, numbers, only, precision_of
from validation.tables import Table

DEEPSEEK_HIDDEN = 7168.0
EAGER_START_S = 5e-4
FAULT_FACTOR = 1.25  # issue: rows more than 25 % above a larger m are table faults


def mark_slower_than_larger(frame: Rows) -> "pd.Series[str]":
    """Name the rows that take over 25 % more than one with more tokens and otherwise the same shape."""
    ordered = frame.sort_values("m")
    least_later = ordered.groupby(["machine", "dtype", "n", "k"])["seconds"].transform(
        lambda seconds: seconds[::-1].cummin()[::-1]
    )
    faulty = (ordered["seconds"] > FAULT_FACTOR * least_later).reindex(frame.index)
    return pd.Series(np.where(faulty, "slower than a larger m", ""), index=frame.index, dtype=str)


def mark_failed_repeat(frame: Rows) -> "pd.Series[str]":
    """Name the rows over five times slower than one with a larger batch at the same length (a failed measurement)."""
    keys = ["machine", "group", "num_heads", "kv_len"]
    ordered = frame.sort_values("batch_size")
    least_later = ordered.groupby(keys)["seconds"].transform(lambda seconds: seconds[::-1].cummin()[::-1])
    faulty = (ordered["seconds"] > 5.0 * least_later).reindex(frame.index)
    return pd.Series(np.where(faulty, "far slower than a larger batch", ""), index=frame.index, dtype=str)


GEMM = Family(
    name="gemm",
    table=Table(file="gemm.csv",
                columns=["system", "dtype", "m", "n", "k", "latency_us"],
                group=["dtype"], site=["n", "k"], shape=["m", "n", "k"], times={"": "latency_us"},
                mark_faults=mark_slower_than_larger),
    curve=GemmCurve,
    fit=lambda rows, chip: fit_gemm(*numbers(rows, "m", "n", "k", "seconds"), chip=chip,
                                    precision=precision_of(only(rows, "dtype"))),
    predict=lambda rows, chip, curve: gemm_s(*numbers(rows, "m", "n", "k"), chip=chip, curve=curve),
    axes=["m", "n", "k"],
)  # fmt: skip


def _absorption_shape(frame: Rows) -> Rows:
    before = frame["op"] == "mla_gen_pre"
    return frame.assign(depth=np.where(before, 128, 512), columns=np.where(before, 512, 128))


MLA_BMM = Family(
    name="mla_bmm",
    table=Table(file="mla_bmm.csv",
                columns=["system", "op", "dtype", "num_heads", "num_tokens", "latency_us"],
                group=["op", "dtype"], site=[], shape=["num_heads", "num_tokens"],
                times={"": "latency_us"}, prepare=_absorption_shape),
    curve=BatchedGemmCurve,
    fit=lambda rows, chip: fit_batched_gemm(*numbers(rows, "num_tokens", "num_heads", "depth", "columns", "seconds"),
                                            chip=chip, precision=precision_of(only(rows, "dtype"))),
    predict=lambda rows, chip, curve: batched_gemm_s(*numbers(rows, "num_tokens", "num_heads", "depth", "columns"),
                                                     chip=chip, curve=curve),
    axes=["num_tokens", "num_heads"],
)  # fmt: skip

MLA_DECODE = Family(
    name="mla_generation_kernel",
    table=Table(file="mla_generation_kernel.csv",
                columns=["system", "impl", "num_heads", "kv_cache_dtype", "batch_size", "kv_len", "latency_us"],
                group=["impl", "kv_cache_dtype"], site=["num_heads", "batch_size"],
                shape=["num_heads", "batch_size", "kv_len"], times={"": "latency_us"}, mark_faults=mark_failed_repeat),
    curve=MlaDecodeCurve,
    fit=lambda rows, chip: fit_mla_decode(
        *numbers(rows.assign(queries=1), "num_heads", "queries", "batch_size", "kv_len", "seconds"), chip=chip,
        precision="bf16", kv_precision=precision_of(only(rows, "kv_cache_dtype"))),
    predict=lambda rows, chip, curve: mla_decode_s(
        *numbers(rows.assign(queries=1), "num_heads", "queries", "batch_size", "kv_len"), chip=chip, curve=curve),
    axes=["num_heads", "batch_size", "kv_len"],
)  # fmt: skip


def _fit_prefill(rows: Rows, chip: Chip) -> MlaPrefillCurve:
    absorbed = only(rows, "impl").endswith("absorbed")
    precision = precision_of(only(rows, "kv_cache_dtype"))
    key_width, value_width = (576.0, 512.0) if absorbed else (192.0, 128.0)
    shape = numbers(rows, "num_heads", "batch_size", "seq_len", "seconds")
    return fit_mla_prefill(*shape, chip=chip, precision=precision, key_width=key_width, value_width=value_width)


MLA_PREFILL = Family(
    name="mla_context_kernel",
    table=Table(file="mla_context_kernel.csv",
                columns=["system", "impl", "num_heads", "kv_cache_dtype", "batch_size", "seq_len", "latency_us"],
                group=["impl", "kv_cache_dtype"], site=["num_heads", "batch_size"],
                shape=["num_heads", "batch_size", "seq_len"], times={"": "latency_us"}),
    curve=MlaPrefillCurve,
    fit=_fit_prefill,
    predict=lambda rows, chip, curve: mla_prefill_s(*numbers(rows, "num_heads", "batch_size", "seq_len"), chip=chip,
                                                    curve=curve),
    axes=["num_heads", "batch_size", "seq_len"],
)  # fmt: skip


def _block_amounts(frame: Rows) -> Rows:
    is_context = frame["phase"] == "context"
    tokens = np.where(is_context, frame["batch_size"] * frame["length"], frame["batch_size"])
    return frame.assign(tokens=tokens, hidden=DEEPSEEK_HIDDEN)


BLOCK_INPUTS = ("num_heads", "hidden", "tokens", "batch_size", "length")


def _fit_block(rows: Rows, chip: Chip) -> MlaBlockCurve:
    is_context = only(rows, "phase") == "context"
    return fit_mla_block(*numbers(rows, *BLOCK_INPUTS, "seconds"), chip=chip,
                         absorbed=not is_context, causal_share=0.5 if is_context else 1.0,
                         eager_floor_s=EAGER_START_S if is_context else 0.0)  # fmt: skip


MLA_BLOCK = Family(
    name="mla_block",
    table=Table(file="mla_block.csv",
                columns=["system", "phase", "kernel", "num_heads", "kv_cache_dtype",
                         "batch_size", "length", "latency_us"],
                group=["kernel", "phase", "kv_cache_dtype"], site=["num_heads", "batch_size"],
                shape=["num_heads", "batch_size", "length"], times={"": "latency_us"}, prepare=_block_amounts),
    curve=MlaBlockCurve,
    fit=_fit_block,
    predict=lambda rows, chip, curve: mla_block_s(*numbers(rows, *BLOCK_INPUTS), chip=chip, curve=curve),
    axes=["num_heads", "batch_size", "length"],
)  # fmt: skip

WIDE_ROW_TILE = {"deepgemm_contiguous": 128.0, "deepgemm_masked": 64.0, "trtllm_cutlass": 64.0}
POPULAR_TOGETHER = ("trtllm_cutlass",)  # its times at few tokens are those of reading every expert of a rank
FUSED_ROW_TILE = 64.0
HBM_BYTES_PER_S = {"h100_sxm": 3.35e12, "h200_sxm": 4.8e12}  # datasheets


def stacked_counts(rows: Rows, tokens_column: str) -> FloatArray:
    """Return the counts behind every row, shape (rows, draws, experts), padded with experts that get nothing."""
    width = int((rows["experts"] // rows["ep"]).clip(lower=1).max())
    counts = []
    for row in rows.to_dict("records"):
        drawn_DE = busiest_rank_counts(
            str(row["distribution"]), tokens=int(row[tokens_column]), top_k=int(row["topk"]),
            experts=int(row["experts"]), ranks=int(row["ep"]),
            popular_together=row.get("kernel") in POPULAR_TOGETHER,
        )  # fmt: skip
        if row.get("kernel") == "deepgemm_contiguous" and row["distribution"] == "uniform":
            drawn_DE = packed_counts(drawn_DE)
        counts.append(np.pad(drawn_DE, ((0, 0), (0, width - drawn_DE.shape[-1]))))
    return np.stack(counts)


def _predict_experts(rows: Rows, chip: Chip, curve: GroupedGemmCurve, tokens_column: str) -> FloatArray:
    load = expert_load(stacked_counts(rows, tokens_column), row_tile=curve.row_tile)
    hidden, inter, tokens = numbers(rows, "hidden", "inter", tokens_column)
    draws_s = grouped_gemm_s(load, hidden[:, None], inter[:, None], chip=chip, curve=curve, tokens=tokens[:, None])
    return np.asarray(draws_s.mean(axis=-1))


def _fit_wide(rows: Rows, chip: Chip) -> GroupedGemmCurve:
    kernel = only(rows, "kernel")
    counts = stacked_counts(rows, "global_tokens")
    hidden, inter, tokens, seconds = numbers(rows, "hidden", "inter", "global_tokens", "seconds")
    return fit_grouped_gemm(counts, hidden, inter, seconds, tokens, chip=chip, row_tile=WIDE_ROW_TILE[kernel],
                            eager_floor_s=EAGER_START_S if kernel == "deepgemm_contiguous" else 0.0)  # fmt: skip


MOE_WIDEEP = Family(
    name="moe_wideep",
    table=Table(file="moe_wideep.csv",
                columns=["system", "kernel", "hidden", "inter", "topk", "experts",
                         "ep", "distribution", "global_tokens", "latency_us"],
                group=["kernel"], site=["hidden", "ep"],
                shape=["hidden", "inter", "topk", "experts", "ep", "distribution", "global_tokens"],
                times={"": "latency_us"}),
    curve=GroupedGemmCurve,
    fit=_fit_wide,
    predict=lambda rows, chip, curve: _predict_experts(rows, chip, curve, "global_tokens"),
    axes=["ep", "global_tokens"],
)  # fmt: skip


def mark_beyond_roofline(frame: Rows) -> "pd.Series[str]":
    """Name whole series (machine, model, distribution) in which a row reads its 8-bit weights faster than memory can.

    Such series ran another kernel (4-bit weights) under this label.
    """
    experts = np.minimum(frame["experts"], frame["num_tokens"] * frame["topk"]) / frame["ep"]
    rate = frame["machine"].map(HBM_BYTES_PER_S)
    beyond = (frame["distribution"] == "balanced") & (
        frame["seconds"] < experts * 3.0 * frame["hidden"] * frame["inter"] / rate
    )
    keys = [frame[column] for column in ("machine", "hidden", "inter", "experts", "distribution")]
    faulty = beyond.groupby(keys).transform("any")
    return pd.Series(np.where(faulty, "series beats the memory roofline", ""), index=frame.index, dtype=str)


def _fit_fused(rows: Rows, chip: Chip) -> GroupedGemmCurve:
    hidden, inter, tokens, seconds = numbers(rows, "hidden", "inter", "num_tokens", "seconds")
    return fit_grouped_gemm(stacked_counts(rows, "num_tokens"), hidden, inter, seconds, tokens, chip=chip,
                            row_tile=FUSED_ROW_TILE)  # fmt: skip


MOE_FUSED = Family(
    name="moe_fused",
    table=Table(file="moe_fused.csv",
                columns=["system", "dtype", "hidden", "inter", "topk", "experts",
                         "ep", "distribution", "num_tokens", "latency_us"],
                group=["dtype"], site=["hidden", "experts", "ep"],
                shape=["hidden", "inter", "topk", "experts", "ep", "distribution", "num_tokens"],
                times={"": "latency_us"}, mark_faults=mark_beyond_roofline),
    curve=GroupedGemmCurve,
    fit=_fit_fused,
    predict=lambda rows, chip, curve: _predict_experts(rows, chip, curve, "num_tokens"),
    axes=["hidden", "experts", "ep", "num_tokens"],
)  # fmt: skip

KERNEL_FAMILIES = (GEMM, MLA_BMM, MLA_DECODE, MLA_PREFILL, MLA_BLOCK, MOE_WIDEEP, MOE_FUSED)
