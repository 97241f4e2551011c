"""Schedules of one batch: sequential, SBO, the released two-stream order, and LongCat's prefill pairs.

Streams: "main" computes; "comm" carries the flights (and, in SBO, the whole communication lane); "alt" is the second
stream of the released engine.
"""

from collections.abc import Sequence

from workloads.lowering.segments import DenseLayer, Layer, MoeLayer, ScmoeLayer
from workloads.ops import Work
from workloads.schedules.build import Deps, GraphBuilder, joined
from workloads.schedules.shortcut import backbone, before_core, moe_input


def sequential(build: GraphBuilder, parts: Sequence[Sequence[Layer]], after: Deps) -> Deps:
    """One op after the other on one stream, in the order of the modeling code."""
    for layer in parts[0]:
        after = build.chain(_in_order(layer), stream="main", layer=layer.index, after=after)
    return after


def _in_order(layer: Layer) -> list[Work]:
    if isinstance(layer, DenseLayer):
        return [*layer.attention.all, layer.post_norm, *layer.ffn.all]
    moe = layer.moe
    routed = [*moe.router, *moe.dispatch.all, *moe.experts, *moe.combine.all]
    if isinstance(layer, MoeLayer):
        return [*layer.attention.all, layer.post_norm, *layer.shared, *routed, layer.merge]
    works, ready = backbone(layer), moe_input(layer)
    return [*works[:ready], *routed, *works[ready:], layer.merge]


def sbo(build: GraphBuilder, parts: Sequence[Sequence[Layer]], after: Deps) -> Deps:
    """Single-batch overlap, four stages (LongCat-Flash report, section 6.1.1 and figure 9).

    1: MLA_0. 2: FFN_0 and the QKV projections of MLA_1 beside router and dispatch. 3: experts, alone. 4: core of
    MLA_1, output projection and FFN_1 beside combine. With another shortcut position stage 2 begins where the MoE's
    input stands; without a shortcut only FFN_1 is left, for stage 4: combine carries more bytes than dispatch.
    """
    for layer in _scmoe(parts[0]):
        moe, at = layer.moe, layer.index
        works, ready, slot = backbone(layer), moe_input(layer), before_core(layer)
        stage1 = build.chain(works[:ready], stream="main", layer=at, after=after)
        lane = build.chain([*moe.router, *moe.dispatch.all], stream="comm", layer=at, after=stage1)
        stage2 = build.chain(works[ready:slot], stream="main", layer=at, after=stage1)
        stage3 = build.chain(moe.experts, stream="main", layer=at, after=joined(stage2, lane))
        lane = build.chain(moe.combine.all, stream="comm", layer=at, after=stage3)
        stage4 = build.chain(works[slot:], stream="main", layer=at, after=stage3)
        after = build.chain([layer.merge], stream="main", layer=at, after=joined(stage4, lane))
    return after


def sbo_one_stream(build: GraphBuilder, parts: Sequence[Sequence[Layer]], after: Deps) -> Deps:
    """SBO as the PyTorch layers issue it: all kernels on one stream, only the flights run beside them.

    Router and dispatch send come before FFN_0, dispatch receive before the experts, combine receive at the very end.
    """
    for layer in _scmoe(parts[0]):
        moe, at = layer.moe, layer.index
        works, ready, slot = backbone(layer), moe_input(layer), before_core(layer)

        def main(works: Sequence[Work], after: Deps, at: int = at) -> Deps:
            return build.chain(works, stream="main", layer=at, after=after)

        sent = main([*works[:ready], *moe.router, *moe.dispatch.issue], after)
        landed = build.chain(moe.dispatch.flight, stream="comm", layer=at, after=sent)
        dense = main(works[ready:slot], sent)
        sent = main([*moe.dispatch.receive, *moe.experts, *moe.combine.issue], joined(dense, landed))
        landed = build.chain(moe.combine.flight, stream="comm", layer=at, after=sent)
        dense = main(works[slot:], sent)
        after = main([*moe.combine.receive, layer.merge], joined(dense, landed))
    return after


def two_stream(build: GraphBuilder, parts: Sequence[Sequence[Layer]], after: Deps) -> Deps:
    """The order of Meituan's released engine: the second stream also hides the expert GEMMs.

    main: MLA_0 | FFN_0, QKV of MLA_1 | core of MLA_1, FFN_1 | combine receive, sum.
    alt: router, dispatch send | dispatch receive, experts, combine send.
    With another shortcut position the second stream begins where the MoE's input stands.
    """
    for layer in _scmoe(parts[0]):
        moe, at = layer.moe, layer.index
        works, ready, slot = backbone(layer), moe_input(layer), before_core(layer)
        head = build.chain(works[:ready], stream="main", layer=at, after=after)
        sent = build.chain([*moe.router, *moe.dispatch.issue], stream="alt", layer=at, after=head)
        middle = build.chain(works[ready:slot], stream="main", layer=at, after=head)
        landed = build.chain(moe.dispatch.flight, stream="comm", layer=at, after=sent)
        experts = [*moe.dispatch.receive, *moe.experts, *moe.combine.issue]
        returned = build.chain(experts, stream="alt", layer=at, after=landed)
        tail = build.chain(works[slot:], stream="main", layer=at, after=middle)
        landed = build.chain(moe.combine.flight, stream="comm", layer=at, after=returned)
        last = [*moe.combine.receive, layer.merge]
        after = build.chain(last, stream="main", layer=at, after=joined(tail, landed))
    return after


def prefill_pairs(build: GraphBuilder, parts: Sequence[Sequence[Layer]], after: Deps) -> Deps:
    """LongCat's prefill (released engine): four pairs, each ends when both of its sides have.

    router | all-gather; dispatch | FFN_0; experts | reduce-scatter, all-gather, MLA_1, reduce-scatter, all-gather;
    combine | FFN_1 and reduce-scatter.
    """
    for layer in _scmoe(parts[0]):
        moe, at = layer.moe, layer.index
        after = build.chain([*layer.attention_0.all, layer.post_norm_0], stream="main", layer=at, after=after)
        attention = [*layer.ffn_0.scatter, *layer.attention_1.all, layer.post_norm_1, *layer.ffn_1.gather]
        pairs = (
            (moe.router, layer.ffn_0.gather),
            (moe.dispatch.all, layer.ffn_0.products),
            (moe.experts, attention),
            (moe.combine.all, [*layer.ffn_1.products, *layer.ffn_1.scatter]),
        )
        for beside, dense in pairs:
            alt = build.chain(beside, stream="alt", layer=at, after=after)
            after = joined(build.chain(dense, stream="main", layer=at, after=after), alt)
        after = build.chain([layer.merge], stream="main", layer=at, after=after)
    return after


def _scmoe(layers: Sequence[Layer]) -> list[ScmoeLayer]:
    return [layer for layer in layers if isinstance(layer, ScmoeLayer)]
