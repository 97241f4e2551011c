"""Work of the single ops that PyTorch runs one by one, named "kernel/op" as `longsim measure` names them.

C rank classes, T tokens.
"""

from collections.abc import Mapping

import numpy as np

from workloads.lowering.view import View
from workloads.memory import WEIGHT_BYTES
from workloads.ops import FloatArray, Kernel, Work


def element_bytes(view: View) -> float:
    """Return the bytes of one number: weights and activations have one type."""
    return WEIGHT_BYTES[view.step.precision.weights]


def product(view: View, name: str, op: str, kind: str, *, rows_C: FloatArray, n: float, k: float) -> Work:
    """Return y = x W^T by a linear layer, for x (rows, k) and W (n, k)."""
    e = element_bytes(view)
    return _work(
        view, name, f"gemm/{op}", kind, "gemm", flops_C=2.0 * rows_C * n * k, hbm_C=view.zeros_C + n * k * e,
        moved_C=rows_C * (k + n) * e, shape={"m": rows_C, "n": n, "k": k, "batch": 1},
    )  # fmt: skip


def per_head(view: View, name: str, op: str, *, rows_C: FloatArray, heads: float, width: float, latent: float) -> Work:
    """Return the products of `rows_C` x width x latent, one for each head."""
    e = element_bytes(view)
    return _work(
        view, name, f"batched_gemm/{op}", "attention", "gemm", flops_C=2.0 * rows_C * heads * width * latent,
        hbm_C=view.zeros_C + heads * width * latent * e, moved_C=rows_C * heads * (width + latent) * e,
        shape={"m": rows_C, "n": latent, "k": width, "batch": heads},
    )  # fmt: skip


def move(view: View, name: str, op: str, kind: str, *, moved_C: FloatArray) -> Work:
    """Return a pass that reads and writes `moved_C` bytes in all; `op` with its kernel family ("elementwise/norm")."""
    return _work(view, name, op, kind, "elementwise", flops_C=view.zeros_C, hbm_C=view.zeros_C, moved_C=moved_C)


def attention_core(
    view: View, name: str, kernel: Kernel, *, flops_C: FloatArray, hbm_C: FloatArray, moved_C: FloatArray
) -> Work:
    """Return softmax(q k) v of all heads."""
    variant = f"{kernel}/attention.core"
    return _work(view, name, variant, "attention", kernel, flops_C=flops_C, hbm_C=hbm_C, moved_C=moved_C)


def grouped(view: View, name: str, *, rows_CX: FloatArray, padded_C: FloatArray, hidden: float, width: float) -> Work:
    """Return the three products and the activation of a rank's experts as one op, over padded rows where it pads."""
    e, rows_C, active_C = element_bytes(view), rows_CX.sum(axis=1), (rows_CX > 0.0).sum(axis=1)
    return _work(
        view, name, "grouped_gemm/experts", "experts", "grouped_gemm", flops_C=6.0 * padded_C * hidden * width,
        hbm_C=3.0 * active_C * hidden * width * e, moved_C=2.0 * rows_C * (hidden + width) * e,
        shape={"rows": rows_C, "hidden": hidden, "inter": width, "n": 3.0 * width, "k": hidden},
    )  # fmt: skip


def _work(
    view: View, name: str, variant: str, kind: str, kernel: Kernel, *, flops_C: FloatArray, hbm_C: FloatArray,
    moved_C: FloatArray, shape: Mapping[str, float | FloatArray] | None = None,
) -> Work:  # fmt: skip
    return Work(
        name=name, kind=kind, kernel=kernel, variant=variant, precision=view.step.precision.weights, shape=shape or {},
        flops_C=np.asarray(flops_C, dtype=float), hbm_bytes_C=np.asarray(hbm_C, dtype=float),
        activation_bytes_C=np.asarray(moved_C, dtype=float),
    )  # fmt: skip
