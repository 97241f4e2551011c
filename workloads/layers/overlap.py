"""The ScMoE layer with its all-to-alls beside dense compute, in two orders; same numbers as the layer in turn.

Both are LongCat's shortcut (position 2): the MoE reads the state after the first attention and is needed at the end.
B sequences, S new positions, D hidden.
"""

from collections.abc import Callable

from torch import Tensor

from workloads.layers.block import Context, ScMoEBlock
from workloads.layers.lane import Lane, used_here
from workloads.layers.moe import Computed

RunBlock = Callable[[ScMoEBlock, Tensor, Context], Tensor]


def in_turn(block: ScMoEBlock, x_BSD: Tensor, at: Context) -> Tensor:
    """Return the layer's output, every op after the one before."""
    out_BSD: Tensor = block(x_BSD, at)
    return out_BSD


def single_batch_overlap(block: ScMoEBlock, x_BSD: Tensor, at: Context) -> Tensor:
    """Return the layer's output in the order of SBO (report, 6.1.1, figure 9), four stages:

    1 MLA_0; 2 dispatch beside FFN_0 and the projections of MLA_1; 3 experts alone; 4 combine beside the core of MLA_1
    and FFN_1. The all-to-alls are asynchronous (gloo's threads, NCCL's stream).
    """
    h1_BSD, u0_BSD = _first_attention(block, x_BSD, at)
    dispatched = block.moe.dispatch(u0_BSD.flatten(0, -2))
    h2_BSD = h1_BSD + block.ffn_0(u0_BSD)
    projected = block.attention_1.project(block.attention_norm_1(h2_BSD), at.rotation)
    computed = block.moe.compute(dispatched)
    h3_BSD = h2_BSD + block.attention_1.attend(projected, at.cache)
    d1_BSD = block.ffn_1(block.ffn_norm_1(h3_BSD))
    out_BSD: Tensor = h3_BSD + d1_BSD + block.moe.collect(computed).view_as(x_BSD)
    return out_BSD


def two_streams(lane: Lane) -> RunBlock:
    """Return the released engine's order (FluentLLM), in which `lane` also hides the experts:

    the lane runs router, dispatch, experts and the send of the combine; beside it the caller runs FFN_0, MLA_1 and
    FFN_1, then receives the combine.
    """

    def run(block: ScMoEBlock, x_BSD: Tensor, at: Context) -> Tensor:
        h1_BSD, u0_BSD = _first_attention(block, x_BSD, at)

        def experts() -> Computed:
            used_here(u0_BSD)
            return block.moe.compute(block.moe.dispatch(u0_BSD.flatten(0, -2)))

        computed = lane.submit(experts)
        h2_BSD = h1_BSD + block.ffn_0(u0_BSD)
        h3_BSD = h2_BSD + block.attention_1(block.attention_norm_1(h2_BSD), at.rotation, at.cache)
        d1_BSD = block.ffn_1(block.ffn_norm_1(h3_BSD))
        m_BSD = block.moe.collect(lane.join(computed)).view_as(x_BSD)
        out_BSD: Tensor = h3_BSD + d1_BSD + m_BSD
        return out_BSD

    return run


def _first_attention(block: ScMoEBlock, x_BSD: Tensor, at: Context) -> tuple[Tensor, Tensor]:
    if block.shortcut != 2:
        raise ValueError(f"shortcut: got {block.shortcut}; the overlapped orders are those of position 2")
    h1_BSD = x_BSD + block.attention_0(block.attention_norm_0(x_BSD), at.rotation, at.cache)
    return h1_BSD, block.ffn_norm_0(h1_BSD)
