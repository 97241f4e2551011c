"""aiconfigurator's tables in the columns of ours: what each is called there, and how its rows are renamed.

Their `latency` is in milliseconds (in microseconds in moe_a2a alone), ours in microseconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from validation.families import Family
from validation.kernel_families import (
    GEMM,
    MLA_BLOCK,
    MLA_BMM,
    MLA_DECODE,
    MLA_PREFILL,
    MOE_FUSED,
    MOE_WIDEEP,
)
from validation.transfer_families import COLLECTIVES, DEEPEP_LOW_LATENCY, DEEPEP_NORMAL, MOE_A2A_EP8

MICROSECONDS = 1e3
RANKS_PER_NODE = 8
SHAPE_OF_EXPERTS = {"hidden_size": "hidden", "inter_size": "inter", "num_experts": "experts", "moe_ep_size": "ep"}
SHAPE_OF_DEEPEP = {
    "node_num": "nodes", "hidden_size": "hidden", "num_token": "tokens_per_rank", "num_topk": "topk",
    "num_experts": "experts",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """One of their tables: file name, backends (the surest first), family, renamed and constant columns, and the rest.

    `every_version`: rows of older versions fill shapes that the newest lacks. `siblings`: backends that run another
    kernel for the same shapes, by which suspicious rows show.
    """

    name: str
    backends: tuple[str, ...]
    family: Family
    rename: Mapping[str, str] = field(default_factory=dict)
    constant: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # backend to column to value
    finish: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame
    every_version: bool = False
    siblings: bool = False


def converted(conversion: Conversion, frame: pd.DataFrame, backend: str, system: str) -> pd.DataFrame:
    """Return the rows of one of their tables in our columns, `system` included."""
    rows = frame.rename(columns=dict(conversion.rename))
    rows = rows.assign(system=system, **conversion.constant.get(backend, {}))
    if "latency" in rows:
        rows = rows.assign(latency_us=rows["latency"] * MICROSECONDS)
    return conversion.finish(rows)


def _context(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["step"] == 0].assign(seq_len=frame["isl"], length=frame["isl"])


def _generation(frame: pd.DataFrame) -> pd.DataFrame:
    cached = frame["isl"] + frame["step"]
    return frame.assign(kv_len=cached, length=cached)


def _only_block_fp8(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[(frame["gemm_type"] == "fp8_block") & (frame["kv_cache_dtype"] == "fp8")]


def _deepep(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(ep=frame["nodes"] * RANKS_PER_NODE)


def _one_dtype(frame: pd.DataFrame) -> pd.DataFrame:
    """Two bytes per value: the message size counts values."""
    return frame[frame["nccl_dtype"] == "half"].assign(bytes=frame["elements"] * 2)


WIDE = {"topk": "topk", "num_tokens": "global_tokens"} | SHAPE_OF_EXPERTS
CONVERSIONS = (
    Conversion(
        name="gemm", backends=("sglang", "trtllm", "vllm"), family=GEMM, rename={"gemm_dtype": "dtype"}, siblings=True,
        finish=lambda frame: frame[frame["dtype"].isin(["bfloat16", "fp8_block"])],
    ),
    Conversion(name="mla_bmm", backends=("sglang", "trtllm", "vllm"), family=MLA_BMM, siblings=True,
               rename={"op_name": "op", "bmm_dtype": "dtype"}),
    Conversion(name="generation_mla", backends=("sglang", "trtllm"), family=MLA_DECODE, finish=_generation,
               constant={"sglang": {"impl": "sglang_fa3"}, "trtllm": {"impl": "trtllm"}}, siblings=True),
    Conversion(name="context_mla", backends=("sglang", "trtllm"), family=MLA_PREFILL, finish=_context,
               constant={"sglang": {"impl": "sglang_fa3_absorbed"}, "trtllm": {"impl": "trtllm_decompressed"}}),
    Conversion(name="wideep_context_mla", backends=("sglang",), family=MLA_BLOCK,
               constant={"sglang": {"kernel": "flashinfer", "phase": "context"}},
               finish=lambda frame: _only_block_fp8(_context(frame))),
    Conversion(name="wideep_generation_mla", backends=("sglang",), family=MLA_BLOCK,
               constant={"sglang": {"kernel": "flashinfer", "phase": "generation"}},
               finish=lambda frame: _only_block_fp8(_generation(frame))),
    Conversion(name="wideep_context_moe", backends=("sglang",), family=MOE_WIDEEP, rename=WIDE,
               constant={"sglang": {"kernel": "deepgemm_contiguous"}}),
    Conversion(name="wideep_generation_moe", backends=("sglang",), family=MOE_WIDEEP, rename=WIDE,
               constant={"sglang": {"kernel": "deepgemm_masked"}}),
    Conversion(
        name="moe", backends=("sglang",), family=MOE_FUSED, rename=SHAPE_OF_EXPERTS | {"moe_dtype": "dtype"},
        finish=lambda frame: frame[(frame["kernel_source"] == "sglang_fused_moe_triton")
                                   & (frame["dtype"] == "fp8_block") & (frame["moe_tp_size"] == 1)],
    ),
    Conversion(
        name="wideep_deepep_ll", backends=("sglang",), family=DEEPEP_LOW_LATENCY, finish=_deepep, every_version=True,
        rename=SHAPE_OF_DEEPEP | {"dispatch_avg_t_us": "dispatch_us", "combine_avg_t_us": "combine_us"},
    ),
    Conversion(
        name="wideep_deepep_normal", backends=("sglang",), family=DEEPEP_NORMAL, finish=_deepep, every_version=True,
        rename=SHAPE_OF_DEEPEP | {"dispatch_sms": "sms", "dispatch_transmit_us": "dispatch_us",
                                  "combine_transmit_us": "combine_us"},
    ),
    Conversion(
        name="moe_a2a", backends=("vllm", "trtllm"), family=MOE_A2A_EP8,
        rename={"comm_backend": "backend", "latency": "latency_us", "ep_size": "ep", "hidden_size": "hidden",
                "num_experts": "experts",
                "num_tokens": "tokens_per_rank"},
    ),
    Conversion(name="nccl", backends=("nccl",), family=COLLECTIVES, finish=_one_dtype,
               rename={"op_name": "op", "message_size": "elements"}, constant={"nccl": {"impl": "nccl"}}),
)  # fmt: skip
