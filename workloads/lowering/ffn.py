"""The dense SwiGLU FFN with its tensor-parallel collectives, and the shared expert, as work."""

from collections.abc import Sequence
from dataclasses import dataclass

from workloads.lowering.kernels import elementwise, gemm, node_collective, stream_bytes
from workloads.lowering.view import View
from workloads.ops import FloatArray, Kernel, Work


def swiglu(view: View, name: str, kind: str, *, rows_C: FloatArray, width: float, precision: str) -> list[Work]:
    """Return gate and up in one product, the activation, and down, for an intermediate of `width`."""
    hidden = view.step.model.hidden
    return [
        gemm(view, f"{name}.gate_up", kind, rows_C=rows_C, n=2 * width, k=hidden, precision=precision),
        elementwise(view, f"{name}.act", kind, bytes_C=rows_C * width * 6.0),
        gemm(view, f"{name}.down", kind, rows_C=rows_C, n=hidden, k=width, precision=precision),
    ]


@dataclass(frozen=True, kw_only=True)
class FfnBlock:
    """A dense FFN: gather the tokens of the TP group, the products, scatter the sums back."""

    gather: Sequence[Work]
    products: Sequence[Work]
    scatter: Sequence[Work]

    @property
    def all(self) -> list[Work]:
        """The three parts in a row."""
        return [*self.gather, *self.products, *self.scatter]


def dense_ffn(view: View, name: str) -> FfnBlock:
    """Return the dense FFN over `dense_tp` ranks: all-gather of tokens, its share of the width, reduce-scatter."""
    step, tp = view.step, view.step.layout.dense_tp
    shard_C = stream_bytes(view)

    def collective(kernel: Kernel) -> list[Work]:
        return node_collective(
            view, f"{name}.{kernel}", kernel=kernel, group="dense_tp", size=tp, shard_bytes_C=shard_C
        )

    rows_C, width = view.batch.tokens_R * tp, step.model.dense_ffn / tp
    return FfnBlock(
        gather=collective("all_gather"),
        products=swiglu(view, name, "dense_ffn", rows_C=rows_C, width=width, precision=step.precision.weights),
        scatter=collective("reduce_scatter"),
    )


def shared_experts(view: View) -> Sequence[Work]:
    """Return the shared experts of a conventional MoE layer; nothing where the model has none."""
    moe = view.step.model.moe
    if not moe.n_shared_experts:
        return []
    width = moe.n_shared_experts * moe.shared_ffn
    return swiglu(
        view, "shared", "shared_experts", rows_C=view.batch.tokens_R, width=width,
        precision=view.step.precision.weights,
    )  # fmt: skip
