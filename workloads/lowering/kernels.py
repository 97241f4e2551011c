"""Work of single kernels: matrix products, element-wise passes and collectives of a tensor-parallel group.

C rank classes.
"""

from typing import Literal

import numpy as np

from workloads.batch import ARITHMETIC
from workloads.lowering.exchanges import all_gather, all_reduce, members, reduce_scatter
from workloads.lowering.view import View
from workloads.memory import WEIGHT_BYTES
from workloads.ops import Exchange, FloatArray, Traffic, Work

GatherKernel = Literal["all_gather", "reduce_scatter"]
ACTIVATION_BYTES = 2.0  # activations travel in BF16 between kernels
INPUT_BYTES = {"bf16": 2.0, "fp8": 1.0, "fp32": 4.0, "fp4": 0.5625, "w4a8": 1.03125, "w4": 2.0, "int4": 2.0}
# Buffers up to which custom all-reduces write all of it to every rank (vLLM, csrc/custom_all_reduce.cuh).
_ONE_SHOT_BYTES = {2: np.inf, 4: 512e3, 8: 256e3}


def gemm(
    view: View, name: str, kind: str, *, rows_C: FloatArray, n: float, k: float, precision: str, batch: int = 1
) -> Work:
    """Return y = x W^T for x (rows, k) and W (n, k), `batch` of them side by side (heads)."""
    return Work(
        name=name,
        kind=kind,
        kernel="gemm",
        precision=ARITHMETIC.get(precision, precision),
        flops_C=2.0 * rows_C * n * k * batch,
        hbm_bytes_C=view.zeros_C + n * k * batch * WEIGHT_BYTES[precision],
        activation_bytes_C=rows_C * batch * (k * INPUT_BYTES[precision] + n * ACTIVATION_BYTES),
        shape={"m": rows_C, "n": n, "k": k, "batch": batch},
    )


def elementwise(view: View, name: str, kind: str, *, bytes_C: FloatArray) -> Work:
    """Return a pass over `bytes_C` of activations, read and written."""
    return Work(
        name=name,
        kind=kind,
        kernel="elementwise",
        precision="bf16",
        flops_C=view.zeros_C,
        hbm_bytes_C=view.zeros_C,
        activation_bytes_C=bytes_C,
    )


def add_norm(view: View, name: str) -> Work:
    """Return the fused residual addition and RMSNorm: read x and the residual, write both sums."""
    hidden = view.step.model.hidden
    return elementwise(view, name, "norm", bytes_C=4.0 * view.batch.tokens_R * hidden * ACTIVATION_BYTES)


def collective(
    view: View, name: str, *, kernel: GatherKernel, group: str, size: int, shard_bytes_C: FloatArray
) -> list[Work]:
    """Return an all-gather or reduce-scatter over `size` ranks; nothing for one rank.

    In one node each rank sends (size - 1) x its shard and receives as much, directly over the NVSwitch; a group of
    several nodes runs the two stages of `exchanges.all_gather`.
    """
    if size == 1:
        return []
    if size > view.step.devices_per_node:
        build = {"all_gather": all_gather, "reduce_scatter": reduce_scatter}[kernel]
        of = members(size, view.step.devices_per_node, view.classes.group_C[group])
        return [build(name, group, group=of, shard_bytes_C=shard_bytes_C)]
    moved_C = (size - 1) * shard_bytes_C
    traffic = Traffic(
        sent_C={"node": moved_C},
        received_C={"node": moved_C},
        local_C=view.zeros_C,
        group_C=view.classes.group_C[group],
    )
    return [
        Work(
            name=name,
            kind=group,
            kernel=kernel,
            precision="bf16",
            flops_C=view.zeros_C,
            hbm_bytes_C=view.zeros_C,
            activation_bytes_C=view.zeros_C,
            shape={"shard_bytes": shard_bytes_C, "ranks": size},
            traffic=traffic,
        )
    ]


def gathered(view: View, name: str, *, group: str, size: int, bytes_C: FloatArray) -> list[Work]:
    """Return the all-gather before products that a tensor-parallel group shares; nothing where every rank has all of
    its tokens."""
    if view.step.layout.replicated:
        return []
    return collective(view, f"{name}.all_gather", kernel="all_gather", group=group, size=size, shard_bytes_C=bytes_C)


def summed(view: View, name: str, *, group: str, size: int, bytes_C: FloatArray) -> list[Work]:
    """Return what sums the group's partial products: a reduce-scatter, or an all-reduce of replicated tokens."""
    if view.step.layout.replicated:
        return all_reduced(view, f"{name}.all_reduce", group=group, size=size, buffer_bytes_C=bytes_C)
    return collective(
        view, f"{name}.reduce_scatter", kernel="reduce_scatter", group=group, size=size, shard_bytes_C=bytes_C
    )


def all_reduced(view: View, name: str, *, group: str, size: int, buffer_bytes_C: FloatArray) -> list[Work]:
    """Return the custom all-reduce of serving engines over `size` ranks: in one shot up to a size that depends on the
    ranks, in two above; nothing for one rank."""
    if size == 1:
        return []
    least = min((ranks for ranks in _ONE_SHOT_BYTES if ranks >= size), default=0)
    small = bool(np.max(buffer_bytes_C) <= _ONE_SHOT_BYTES.get(least, 0.0))
    algorithm: Exchange = "one_shot" if small else "two_shot"
    ranks = members(size, view.step.devices_per_node, view.classes.group_C[group])
    return [all_reduce(name, group, algorithm, group=ranks, buffer_bytes_C=buffer_bytes_C)]


def stream_bytes(view: View) -> FloatArray:
    """Return the bytes of one residual stream on each rank."""
    return np.asarray(view.batch.tokens_R * view.step.model.hidden * ACTIVATION_BYTES)
