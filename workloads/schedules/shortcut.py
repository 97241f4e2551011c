"""Where the MoE branch leaves the backbone of a ScMoE layer, and where it may come back: order from dependencies.

The backbone is everything but the branch: MLA_0, norm, FFN_0, MLA_1, norm, FFN_1. The branch is router, dispatch,
experts, combine; only `merge` needs it. So whatever of the backbone comes after the branch's input is the window behind
which it can hide (ScMoE paper, arXiv 2404.05019, section 3; its positions 1 to 3).
"""

from workloads.lowering.segments import ScmoeLayer
from workloads.ops import Work


def backbone(layer: ScmoeLayer) -> list[Work]:
    """Return the ops of the layer in a row, without the MoE branch and the merge."""
    head = [*layer.attention_0.all, layer.post_norm_0]
    return [*head, *layer.ffn_0.all, *layer.attention_1.all, layer.post_norm_1, *layer.ffn_1.all]


def after_first_attention(layer: ScmoeLayer) -> int:
    """Return how many ops of the backbone end with the norm after the first attention."""
    return len(layer.attention_0.all) + 1


def moe_input(layer: ScmoeLayer) -> int:
    """Return how many ops of the backbone come before the MoE can start: up to the norm of the state that it reads.

    Position 3: the layer's input, 2: the state after the first attention, 1: after the first FFN, 0 (none): after the
    second attention.
    """
    head = after_first_attention(layer)
    middle = head + len(layer.ffn_0.all)
    tail = middle + len(layer.attention_1.all) + 1
    return {3: 1, 2: head, 1: middle + 1, 0: tail}[layer.shortcut]


def before_core(layer: ScmoeLayer) -> int:
    """Return how many ops of the backbone come before the report's slot for the experts: after the QKV projections of
    the second attention (LongCat-Flash report, section 6.1.1), or later, where the MoE's input comes later."""
    slot = after_first_attention(layer) + len([*layer.ffn_0.all, *layer.attention_1.prepare])
    return max(slot, moe_input(layer))
