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
    "all_gather", "reduce_scatter", "all_reduce", "exchange",
]  # fmt: skip
Exchange = Literal[
    "all_gather", "reduce_scatter", "pairwise", "hierarchical", "one_sided", "ring", "tree", "in_switch",
    "point_to_point", "one_shot", "two_shot",
]  # fmt: skip
Distance = Literal["node", "remote"]
BytesByDistance = Mapping[Distance, FloatArray]

COMMUNICATION_KERNELS = frozenset(
    {
        "all_to_all_issue", "all_to_all_flight", "all_to_all_receive", "all_to_all_normal",
        "all_gather", "reduce_scatter", "all_reduce", "exchange",
    }
)  # fmt: skip

LAYER_TYPES = ("fp32", "bf16")  # number formats of the PyTorch layers


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Payload that one collective op moves, per rank class [bytes], by how far it goes.

    "node" crosses the links inside a node, "remote" leaves the node; `local_C` stays on the device. `group_C` numbers
    the group of ranks that take part together; an op ends on no rank of a group before every rank of it has sent.
    `border_out_C`, `border_in_C`: border to the bytes on the links out of and into the rank's group there, all ranks of
    the group together.
    """

    sent_C: BytesByDistance
    received_C: BytesByDistance
    local_C: FloatArray
    group_C: IntArray
    border_out_C: Mapping[str, FloatArray] = field(default_factory=dict)
    border_in_C: Mapping[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one op computes or moves on each rank class. Layers that are alike share one `Work` object.

    `kind` is what it is for (attention, dense_ffn, router, dispatch, experts, combine, norm, ...), `kernel` which cost
    family prices it. `hbm_bytes_C`: weights and KV cache, always read from memory; `activation_bytes_C` may stay in
    L2. `precision` of the arithmetic. `variant`: which kernel of the family (grouped products: "masked" in decode,
    "contiguous" in prefill, "fused" of replicated tokens; exchanges: their algorithm, an `Exchange`). `shape` holds the
    kernel's shape for curves and for the trace file, `rows_CX` the rows of each local expert X of a grouped product.
    `weights`: the number format of the experts in memory, `cache` that of the keys and values that a core reads.
    """

    name: str
    kind: str
    kernel: Kernel
    precision: str
    flops_C: FloatArray
    hbm_bytes_C: FloatArray
    activation_bytes_C: FloatArray
    shape: Mapping[str, float | FloatArray] = field(default_factory=dict)
    traffic: Traffic | None = None
    variant: str = ""
    rows_CX: FloatArray | None = None
    weights: str = ""
    cache: str = ""


@dataclass(frozen=True, kw_only=True)
class Op:
    """One piece of work in the graph: `layer` (-1 outside layers), in-order `stream`, and `deps`, indices of ops
    that must have ended first. `suffix` tells half-batches apart ("@a", "@b")."""

    work: Work
    layer: int
    stream: str
    deps: tuple[int, ...] = ()
    suffix: str = ""

    @property
    def name(self) -> str:
        """Name of the work, with its half-batch."""
        return self.work.name + self.suffix
