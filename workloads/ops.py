"""Ops: the vertices of an op graph, with amounts as arrays over rank classes.

C rank classes (ranks that are alike stand for one another; see workloads/graph.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Kernel = Literal[
    "gemm", "grouped_gemm", "attention_decode", "attention_prefill", "elementwise",
    "all_to_all_issue", "all_to_all_flight", "all_to_all_receive", "all_to_all_normal",
    "all_gather", "reduce_scatter", "all_reduce",
]  # fmt: skip
Distance = Literal["self", "node", "remote"]


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Payload that one collective op moves, per rank class [bytes], by how far it goes.

    "self" stays on the device, "node" crosses the links inside a node, "remote" leaves the node. `group_C` numbers the
    group of ranks that take part together; an op ends on no rank of a group before every rank of it has sent.
    `n_hops`: messages in sequence that the algorithm needs (latency is paid that often).
    """

    sent_C: Mapping[Distance, FloatArray]
    received_C: Mapping[Distance, FloatArray]
    group_C: IntArray
    n_hops: int = 1


@dataclass(frozen=True, kw_only=True)
class Op:
    """One operation of every rank: `kind` is what it is for (attention, dense_ffn, router, dispatch, experts, combine,
    norm, ...), `kernel` which cost family prices it. `hbm_bytes_C` are weights and KV cache (always read from
    memory); `activation_bytes_C` may stay in L2. `deps` are indices of ops that must have ended first; `shape` holds
    the kernel's shape for curves and for the trace file."""

    name: str
    kind: str
    kernel: Kernel
    layer: int
    stream: str
    flops_C: FloatArray
    hbm_bytes_C: FloatArray
    activation_bytes_C: FloatArray
    precision: str
    deps: tuple[int, ...] = ()
    shape: Mapping[str, float | FloatArray] = field(default_factory=dict)
    traffic: Traffic | None = None
