"""The communication tables: DeepEP low latency and normal, newer EP8 all-to-alls, one-sided NVLink, NCCL."""

import numpy as np
import pandas as pd

from hw_profiles.curves.all_to_all import LowLatencyCurve, NormalCurve, distinct_groups, low_latency_s, normal_s
from hw_profiles.curves.base import Chip, FloatArray
from hw_profiles.curves.pipe import PipeCurve, pipe_s
from hw_profiles.fits.all_to_all import fit_low_latency, fit_normal
from hw_profiles.fits.pipe import fit_pipe
from validation.families import Family, Rows, numbers, only
from validation.tables import Table

PHASES = {"dispatch": "dispatch_us", "combine": "combine_us"}
FP8_VALUE_BYTES = 1.0 + 4.0 / 128.0  # one byte and a 4-byte scale per 128 values
HEADER_BYTES = 16.0  # DeepEP low-latency message header
NODE_LIMIT = 4  # README: the 8-node normal rows limit each token to 4 nodes
GB200_HIDDEN, GB200_TOP_K = 7168.0, 8.0
PREPARE_BYTES = 0.002  # per hidden value: the choices alone, 4 B each
LL_INPUTS = ("tokens_per_rank", "hidden", "topk", "experts", "ep")


def _mark_few_experts(frame: Rows) -> "pd.Series[str]":
    few = frame["experts"] <= 2 * frame["ep"]
    return pd.Series(np.where(few, "two experts per rank leave few SMs", ""), index=frame.index, dtype=str)


def _fit_low_latency(rows: Rows, chip: Chip) -> LowLatencyCurve:
    is_dispatch = only(rows, "phase") == "dispatch"
    return fit_low_latency(*numbers(rows, *LL_INPUTS, "seconds"), chip=chip,
                           value_bytes=FP8_VALUE_BYTES if is_dispatch else 2.0,
                           token_bytes=HEADER_BYTES if is_dispatch else 0.0)  # fmt: skip


DEEPEP_LOW_LATENCY = Family(
    name="deepep_low_latency",
    table=Table(file="deepep_low_latency.csv",
                columns=["system", "ep", "hidden", "topk", "experts", "tokens_per_rank", "dispatch_us", "combine_us"],
                group=["phase"], site=["hidden", "topk", "experts", "ep"],
                shape=["tokens_per_rank"], times=PHASES, mark_faults=_mark_few_experts),
    curve=LowLatencyCurve,
    fit=_fit_low_latency,
    predict=lambda rows, chip, curve: low_latency_s(*numbers(rows, *LL_INPUTS), chip=chip, curve=curve),
    axes=["tokens_per_rank", "hidden", "topk", "experts", "ep"],
)  # fmt: skip


def _copies(frame: Rows) -> Rows:
    nodes, ranks, top_k = frame["nodes"].to_numpy(float), frame["ep"].to_numpy(float), frame["topk"].to_numpy(float)
    reached = np.minimum(distinct_groups(nodes, top_k), NODE_LIMIT)
    return frame.assign(rank_copies=distinct_groups(ranks, top_k), node_copies=reached * (1.0 - 1.0 / nodes))


def _mark_eight_nodes(frame: Rows) -> "pd.Series[str]":
    """8-node dispatch above 128 tokens is faulty in the source; combine above 8,192 jumps fourfold per token there."""
    limit = np.where(frame["phase"] == "dispatch", 128, 8192)
    faulty = (frame["nodes"] == 8) & (frame["tokens_per_rank"] > limit)
    return pd.Series(np.where(faulty, "8-node rows beyond their sound range", ""), index=frame.index, dtype=str)


NORMAL_INPUTS = ("tokens_per_rank", "hidden", "rank_copies", "node_copies", "topk", "nodes", "sms")
DEEPEP_NORMAL = Family(
    name="deepep_normal",
    table=Table(file="deepep_normal.csv",
                columns=["system", "nodes", "ep", "hidden", "topk", "experts",
                         "tokens_per_rank", "sms", "dispatch_us", "combine_us"],
                group=["phase"], site=["nodes", "hidden", "topk", "experts", "sms"],
                rotate=["nodes"], shape=["tokens_per_rank"], times=PHASES, prepare=_copies,
                mark_faults=_mark_eight_nodes),
    curve=NormalCurve,
    fit=lambda rows, chip: fit_normal(*numbers(rows, *NORMAL_INPUTS, "seconds"), chip=chip,
                                      value_bytes=FP8_VALUE_BYTES if only(rows, "phase") == "dispatch" else 2.0),
    predict=lambda rows, chip, curve: normal_s(*numbers(rows, *NORMAL_INPUTS), chip=chip, curve=curve),
    axes=["tokens_per_rank", "hidden", "topk", "nodes", "sms"],
)  # fmt: skip


def _ep8_bytes(frame: Rows) -> Rows:
    per_rank = frame["backend"].str.contains("ht|context|v2")  # one copy per rank; low latency: one per chosen expert
    copies = np.where(
        per_rank, distinct_groups(frame["ep"].to_numpy(float), frame["topk"].to_numpy(float)), frame["topk"]
    )
    return frame.assign(bytes=frame["tokens_per_rank"] * copies * frame["hidden"] * 2.0)


EP8_SHAPE = ["hidden", "topk", "experts", "tokens_per_rank"]


def _pipe_family(name: str, table: Table, ranks: str, axes: list[str]) -> Family:
    """A family whose rows carry `bytes` per rank and go through one NVLink pipe."""

    def fit(rows: Rows, chip: Chip) -> PipeCurve:
        n_bytes, among, seconds = numbers(rows, "bytes", ranks, "seconds")
        return fit_pipe(n_bytes, among, seconds, link_bytes_per_s=chip.nvlink_bytes_per_s)

    def predict(rows: Rows, chip: Chip, curve: PipeCurve) -> FloatArray:
        return pipe_s(*numbers(rows, "bytes", ranks), link_bytes_per_s=chip.nvlink_bytes_per_s, curve=curve)

    return Family(name=name, table=table, curve=PipeCurve, fit=fit, predict=predict, axes=axes)


MOE_A2A_EP8 = _pipe_family(
    "moe_a2a_ep8",
    Table(file="moe_a2a_ep8.csv",
          columns=["system", "backend", "phase", "comm_dtype", "ep", "hidden",
                   "topk", "experts", "tokens_per_rank", "latency_us"],
          group=["backend", "phase", "comm_dtype"], site=[],
          rotate=["hidden", "topk", "experts"], shape=EP8_SHAPE, times={"": "latency_us"}, prepare=_ep8_bytes),
    "ep", EP8_SHAPE,
)  # fmt: skip


def _one_sided_bytes(frame: Rows) -> Rows:
    """Bytes that one GPU moves: one-sided kernels write to other GPUs alone, two-sided ones pass their own share
    through the same buffers, and preparing handles each token's choices once, wherever they lead."""
    ranks = frame["moe_ep_size"].to_numpy(float)
    by_dtype = frame["moe_dtype"].map({"bfloat16": 2.0, "fp8": 1.0, "nvfp4": 0.5625}).to_numpy(float)
    width = np.select(
        [frame["op_name"] == "alltoall_dispatch", frame["op_name"] == "alltoall_prepare"],
        [by_dtype, PREPARE_BYTES],
        2.0,
    )
    reached = distinct_groups(ranks, GB200_TOP_K)
    copies = np.select(
        [frame["op_name"] == "alltoall_prepare", frame["kernel_source"] == "NVLinkOneSided"],
        [1.0, reached * (1.0 - 1.0 / ranks)],
        reached,
    )
    return frame.assign(bytes=frame["num_tokens"] * copies * GB200_HIDDEN * width)


GB200_ALLTOALL = _pipe_family(
    "gb200_alltoall_trtllm",
    Table(file="gb200_alltoall_trtllm.csv",
          columns=["kernel_source", "op_name", "moe_dtype", "moe_ep_size", "num_tokens", "latency_us"],
          group=["kernel_source", "op_name", "moe_dtype"], site=["moe_ep_size"],
          shape=["moe_ep_size", "num_tokens"], times={"": "latency_us"}, prepare=_one_sided_bytes),
    "moe_ep_size", ["moe_ep_size", "num_tokens"],
)  # fmt: skip


def _wire_bytes(frame: Rows) -> Rows:
    """Bytes that one GPU sends in a ring: (R-1)/R of the buffer, twice for an all-reduce."""
    ranks = frame["num_gpus"].to_numpy(float)
    share = (ranks - 1.0) / ranks * np.where(frame["op"] == "all_reduce", 2.0, 1.0)
    return frame.assign(buffer_bytes=frame["bytes"], bytes=frame["bytes"] * share)


COLLECTIVES = _pipe_family(
    "collectives",
    Table(file="collectives.csv",
          columns=["system", "impl", "op", "num_gpus", "elements", "bytes", "latency_us"],
          group=["impl", "op"], site=[], rotate=["num_gpus"], shape=["num_gpus", "elements"],
          times={"": "latency_us"}, prepare=_wire_bytes),
    "num_gpus", ["num_gpus", "buffer_bytes"],
)  # fmt: skip

TRANSFER_FAMILIES = (DEEPEP_LOW_LATENCY, DEEPEP_NORMAL, MOE_A2A_EP8, GB200_ALLTOALL, COLLECTIVES)
