"""The dense FFN with its tensor-parallel collectives, and the shared expert, as work."""

from collections.abc import Sequence
from dataclasses import dataclass

from workloads.lowering.kernels import elementwise, gathered, gemm, stream_bytes, summed
from workloads.lowering.view import View
from workloads.model import ModelSpec
from workloads.ops import FloatArray, Work


def ffn_products(view: View, name: str, kind: str, *, rows_C: FloatArray, width: float, precision: str) -> list[Work]:
    """Return gate and up in one product (up alone without a gate), the activation, and down, for an intermediate of
    `width`; the activation reads what the first product wrote and writes `width`, 2 bytes each."""
    model = view.step.model
    up, hidden = f"{name}.{up_name(model)}", model.hidden
    return [
        gemm(view, up, kind, rows_C=rows_C, n=model.n_up * width, k=hidden, precision=precision),
        elementwise(view, f"{name}.act", kind, bytes_C=rows_C * width * 2.0 * (model.n_up + 1)),
        gemm(view, f"{name}.down", kind, rows_C=rows_C, n=hidden, k=width, precision=precision),
    ]


def up_name(model: ModelSpec) -> str:
    """Return the name of the product into an FFN's inner width."""
    return "gate_up" if model.gated_ffn else "up"


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
    """Return the dense FFN over `dense_tp` ranks: all-gather of tokens, its share of the width, reduce-scatter; or, of
    replicated tokens, its share of the width and an all-reduce."""
    step, tp = view.step, view.step.layout.dense_tp
    rows_C, width = view.batch.tokens_R * (1 if step.layout.replicated else tp), step.model.dense_ffn / tp
    return FfnBlock(
        gather=gathered(view, name, group="dense_tp", size=tp, bytes_C=stream_bytes(view)),
        products=ffn_products(view, name, "dense_ffn", rows_C=rows_C, width=width, precision=step.precision.weights),
        scatter=summed(view, name, group="dense_tp", size=tp, bytes_C=stream_bytes(view)),
    )


def shared_experts(view: View) -> Sequence[Work]:
    """Return the shared experts of a conventional MoE layer, whole or (replicated tokens) the rank's share of their
    width; nothing where the model has none."""
    moe = view.step.model.moe
    if not moe.n_shared_experts:
        return []
    width = moe.n_shared_experts * moe.shared_ffn / view.step.layout.replicated_tp
    return ffn_products(
        view, "shared", "shared_experts", rows_C=view.batch.tokens_R, width=width,
        precision=view.step.precision.weights,
    )  # fmt: skip
