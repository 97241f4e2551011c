"""Schedules of two half-batches: what one exchanges, the other's compute hides.

Streams: "main" computes, "comm" carries flights, "moe" is the second lane of the phased order.
"""

from collections.abc import Sequence

from workloads.lowering.attention import AttentionBlock
from workloads.lowering.segments import DenseLayer, Layer, MoeLayer, ScmoeLayer
from workloads.ops import Work
from workloads.schedules.build import Deps, GraphBuilder, joined
from workloads.schedules.shortcut import after_first_attention, backbone, moe_input

Pending = tuple[Deps, Deps]  # what a half's compute and its flight end with


def tbo(build: GraphBuilder, parts: Sequence[Sequence[Layer]], after: Deps) -> Deps:
    """Two-batch overlap as a real two-batch order on one compute stream.

    Per layer: attention, router and dispatch send of A, then of B; experts and combine send of A, then of B; for a
    ScMoE layer the dense path of A, then of B; each half takes up its combine where its next layer needs it.
    """
    pending: list[Pending] = [(after, after), (after, after)]
    before: Sequence[Layer | None] = [None, None]
    for layers in zip(*parts, strict=True):
        for h, layer in enumerate(layers):
            pending[h] = _send(build, layer, _finish(build, before[h], *pending[h]))
        for h, layer in enumerate(layers):
            pending[h] = _experts(build, layer, *pending[h])
        for h, layer in enumerate(layers):
            pending[h] = (_dense_path(build, layer, pending[h][0]), pending[h][1])
        before = layers
    return joined(*(_finish(build, before[h], *pending[h]) for h in (0, 1)))


def _send(build: GraphBuilder, layer: Layer, after: Deps) -> Pending:
    """Place attention to dispatch flight."""
    if isinstance(layer, DenseLayer):
        works = [*_attention(layer), *layer.ffn.all]
        end = build.chain(works, stream="main", layer=layer.index, after=after, suffix=layer.suffix)
        return end, end
    works = [*_attention(layer), *layer.moe.router]
    routed = build.chain(works, stream="main", layer=layer.index, after=after, suffix=layer.suffix)
    return _dispatch_and_shared(build, layer, routed)


def _dispatch_and_shared(build: GraphBuilder, layer: MoeLayer | ScmoeLayer, after: Deps) -> Pending:
    issue, flight = layer.moe.dispatch.issue, layer.moe.dispatch.flight
    sent = build.chain(issue, stream="main", layer=layer.index, after=after, suffix=layer.suffix)
    landed = build.chain(flight, stream="comm", layer=layer.index, after=sent, suffix=layer.suffix)
    shared = layer.shared if isinstance(layer, MoeLayer) else []
    return build.chain(shared, stream="main", layer=layer.index, after=sent, suffix=layer.suffix), landed


def _router(layer: Layer) -> Sequence[Work]:
    return [] if isinstance(layer, DenseLayer) else layer.moe.router


def _first_attention(layer: Layer) -> AttentionBlock:
    return layer.attention_0 if isinstance(layer, ScmoeLayer) else layer.attention


def _attention(layer: Layer) -> list[Work]:
    if not isinstance(layer, ScmoeLayer):
        return [*layer.attention.all, layer.post_norm]
    return backbone(layer)[: _sends_after(layer)]


def _experts(build: GraphBuilder, layer: Layer, compute: Deps, landed: Deps) -> Pending:
    if isinstance(layer, DenseLayer):
        return compute, landed
    moe, at, suffix = layer.moe, layer.index, layer.suffix
    works = [*moe.dispatch.receive, *moe.experts, *moe.combine.issue]
    done = build.chain(works, stream="main", layer=at, after=joined(compute, landed), suffix=suffix)
    return done, build.chain(moe.combine.flight, stream="comm", layer=at, after=done, suffix=suffix)


def _dense_path(build: GraphBuilder, layer: Layer, after: Deps) -> Deps:
    if not isinstance(layer, ScmoeLayer):
        return after
    return build.chain(_dense_works(layer), stream="main", layer=layer.index, after=after, suffix=layer.suffix)


def _dense_works(layer: Layer) -> list[Work]:
    if not isinstance(layer, ScmoeLayer):
        return []
    return backbone(layer)[_sends_after(layer) :]


def _sends_after(layer: ScmoeLayer) -> int:
    """A half hides behind the other's attention, so it sends after its own, or later where the MoE's input comes."""
    return max(moe_input(layer), after_first_attention(layer))


def _finish(build: GraphBuilder, layer: Layer | None, compute: Deps, landed: Deps) -> Deps:
    if layer is None or isinstance(layer, DenseLayer):
        return compute
    works = [*layer.moe.combine.receive, layer.merge]
    return build.chain(works, stream="main", layer=layer.index, after=joined(compute, landed), suffix=layer.suffix)


def tbo_five_stage(build: GraphBuilder, parts: Sequence[Sequence[Layer]], after: Deps) -> Deps:
    """Two-batch overlap with layers in five stages, the second half two stages behind the first, on one compute stream.

    Stages: attention up to its core; core, output projection and router; dispatch send and shared experts; experts and
    combine send; what follows the combine. So a half's dispatch hides behind its shared experts and the other's
    projections, its combine behind the other's core. DeepSeek's decode (open-infra-index, day 6, "5-stage pipeline");
    the stages as SGLang cut them after it (sglang @02ed4a5, operations_strategy.py, deepseek_blog_decode).
    """
    pending: list[Pending] = [(after, after), (after, after)]
    rows = [[(layer, stage) for layer in layers for stage in _STAGES] for layers in parts]
    for at in range(len(rows[0]) + _STAGES_BEHIND):
        for h, place in ((0, at), (1, at - _STAGES_BEHIND)):
            if 0 <= place < len(rows[h]):
                layer, stage = rows[h][place]
                pending[h] = stage(build, layer, *pending[h])
    return joined(*(deps for half in pending for deps in half))


def _projections(build: GraphBuilder, layer: Layer, compute: Deps, landed: Deps) -> Pending:
    works = _first_attention(layer).prepare
    return build.chain(works, stream="main", layer=layer.index, after=compute, suffix=layer.suffix), landed


def _core(build: GraphBuilder, layer: Layer, compute: Deps, landed: Deps) -> Pending:
    works = [*_attention(layer)[len(_first_attention(layer).prepare) :], *_router(layer)]
    return build.chain(works, stream="main", layer=layer.index, after=compute, suffix=layer.suffix), landed


def _dispatch(build: GraphBuilder, layer: Layer, compute: Deps, landed: Deps) -> Pending:
    if isinstance(layer, DenseLayer):
        works = layer.ffn.all
        return build.chain(works, stream="main", layer=layer.index, after=compute, suffix=layer.suffix), landed
    return _dispatch_and_shared(build, layer, compute)


def _combined(build: GraphBuilder, layer: Layer, compute: Deps, landed: Deps) -> Pending:
    end = _finish(build, layer, _dense_path(build, layer, compute), landed)
    return end, end


_STAGES = (_projections, _core, _dispatch, _experts, _combined)
_STAGES_BEHIND = 2


def tbo_phased(build: GraphBuilder, parts: Sequence[Sequence[Layer]], after: Deps) -> Deps:
    """Two-batch overlap as the LongCat report counts it: two phases per layer, each ends when both sides have.

    In a phase one half's attention (and the dense path of the ScMoE layer that it finished) runs beside the other
    half's router, dispatch, experts and combine; nothing of a half overlaps itself.
    """
    first, second = parts
    for layer_a, layer_b in zip(first, [None, *second[:-1]], strict=True):
        after = _phase(build, layer_a, layer_b, after)
        twin = second[layer_a.index]
        after = _phase(build, twin, layer_a, after)
    return _phase(build, None, second[-1], after)


def _phase(build: GraphBuilder, attends: Layer | None, exchanges: Layer | None, after: Deps) -> Deps:
    main, lane = after, after
    if attends:
        works = _in_phase(attends)
        main = build.chain(works, stream="main", layer=attends.index, after=after, suffix=attends.suffix)
    if exchanges and not isinstance(exchanges, DenseLayer):
        moe, at, suffix = exchanges.moe, exchanges.index, exchanges.suffix
        shared = exchanges.shared if isinstance(exchanges, MoeLayer) else []
        works = [*moe.router, *moe.dispatch.all, *shared, *moe.experts, *moe.combine.all]
        lane = build.chain(works, stream="moe", layer=at, after=after, suffix=suffix)
        main = build.chain(_dense_works(exchanges), stream="main", layer=at, after=main, suffix=suffix)
        lane = build.chain([exchanges.merge], stream="moe", layer=at, after=joined(lane, main), suffix=suffix)
    return joined(main, lane)


def _in_phase(layer: Layer) -> list[Work]:
    return [*_attention(layer), *(layer.ffn.all if isinstance(layer, DenseLayer) else [])]
