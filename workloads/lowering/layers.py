"""From a view to its layers, segment by segment. Dataflow of the ScMoE layer: LongCat-Flash report,
section 2, and the released modeling code."""

from dataclasses import replace

from workloads.lowering.attention import attention_block
from workloads.lowering.ffn import dense_ffn, shared_experts
from workloads.lowering.kernels import add_norm, elementwise, stream_bytes
from workloads.lowering.moe import MoeBlock, moe_block
from workloads.lowering.segments import DenseLayer, Layer, MoeLayer, ScmoeLayer
from workloads.lowering.torch_layer import torch_layer
from workloads.lowering.view import View
from workloads.ops import Work
from workloads.zoo import n_moe_layers


def lower_layers(view: View) -> list[Layer]:
    """Return every layer of the model as segments of work; layers that are alike share their `Work` objects."""
    model = view.step.model
    if model.block == "scmoe":
        return _torch_layers(view) if view.step.kernels == "torch" else _scmoe_layers(view)
    n_moe = n_moe_layers(model)
    n_dense = model.n_layers - n_moe
    attention, post_norm = attention_block(view, 0), add_norm(view, "mla0.post_norm")
    ffn, shared, merge = dense_ffn(view, "ffn"), shared_experts(view), _merge(view, 2)
    dense: list[Layer] = [
        DenseLayer(index=i, suffix=view.suffix, attention=attention, post_norm=post_norm, ffn=ffn)
        for i in range(n_dense)
    ]
    return dense + [
        MoeLayer(
            index=n_dense + i, suffix=view.suffix, attention=attention, post_norm=post_norm, moe=moe, shared=shared,
            merge=merge,
        )
        for i, moe in enumerate(_moe_blocks(view, n_moe))
    ]  # fmt: skip


def _scmoe_layers(view: View) -> list[Layer]:
    attention_0, attention_1 = attention_block(view, 0), attention_block(view, 1)
    post_norm_0, post_norm_1 = add_norm(view, "mla0.post_norm"), add_norm(view, "mla1.post_norm")
    ffn_0, ffn_1, merge = dense_ffn(view, "ffn0"), dense_ffn(view, "ffn1"), _merge(view, 2)
    return [
        ScmoeLayer(
            index=index, suffix=view.suffix, attention_0=attention_0, post_norm_0=post_norm_0, ffn_0=ffn_0,
            attention_1=attention_1, post_norm_1=post_norm_1, ffn_1=ffn_1, moe=moe, merge=merge,
            shortcut=view.step.model.shortcut,
        )
        for index, moe in enumerate(_moe_blocks(view, view.step.model.n_layers))
    ]  # fmt: skip


def _torch_layers(view: View) -> list[Layer]:
    last = view.loads.rows_LRX.shape[0] - 1
    distinct = [torch_layer(view, index, min(index, last)) for index in range(min(last + 1, view.step.model.n_layers))]
    return [replace(distinct[min(index, last)], index=index) for index in range(view.step.model.n_layers)]


def _moe_blocks(view: View, n_layers: int) -> list[MoeBlock]:
    if n_layers and view.loads.rows_LRX.shape[0] == 1:
        return [moe_block(view, 0)] * n_layers
    return [moe_block(view, layer) for layer in range(n_layers)]


def _merge(view: View, n_inputs: int) -> Work:
    return elementwise(view, "merge", "residual", bytes_C=(n_inputs + 1.0) * stream_bytes(view))
