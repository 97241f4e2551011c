"""Schedules of two half-batches: what one exchanges, the other's compute hides.

Streams: "main" computes, "comm" carries flights, "moe" is the second lane of the phased order.
"""

from collections.abc import Sequence

from workloads.lowering.segments import DenseLayer, Layer, MoeLayer, ScmoeLayer
from workloads.ops import Work
from workloads.schedules.build import Deps, GraphBuilder, joined
from workloads.schedules.shortcut import after_first_attention, backbone, moe_input


def tbo(build: GraphBuilder, parts: Sequence[Sequence[Layer]], after: Deps) -> Deps:
    """Two-batch overlap as a real two-batch order on one compute stream.

    Per layer: attention, router and dispatch send of A, then of B; experts and combine send of A, then of B; for a
    ScMoE layer the dense path of A, then of B; each half takes up its combine where its next layer needs it.
    """
    ends = [after, after]
    for layers in zip(*parts, strict=True):
        flights = [_send(build, layer, ends[h]) for h, layer in enumerate(layers)]
        flights = [_experts(build, layer, *flights[h]) for h, layer in enumerate(layers)]
        dense = [_dense_path(build, layer, flights[h][0]) for h, layer in enumerate(layers)]
        ends = [_finish(build, layer, dense[h], flights[h][1]) for h, layer in enumerate(layers)]
    return joined(*ends)


def _send(build: GraphBuilder, layer: Layer, after: Deps) -> tuple[Deps, Deps]:
    """Place attention to dispatch flight; return what the half's compute and its flight end with."""
    if isinstance(layer, DenseLayer):
        works = [*layer.attention.all, layer.post_norm, *layer.ffn.all]
        end = build.chain(works, stream="main", layer=layer.index, after=after, suffix=layer.suffix)
        return end, end
    works = [*_attention(layer), *layer.moe.router, *layer.moe.dispatch.issue]
    sent = build.chain(works, stream="main", layer=layer.index, after=after, suffix=layer.suffix)
    flight = layer.moe.dispatch.flight
    landed = build.chain(flight, stream="comm", layer=layer.index, after=sent, suffix=layer.suffix)
    shared = layer.shared if isinstance(layer, MoeLayer) else []
    return build.chain(shared, stream="main", layer=layer.index, after=sent, suffix=layer.suffix), landed


def _attention(layer: MoeLayer | ScmoeLayer) -> list[Work]:
    if isinstance(layer, MoeLayer):
        return [*layer.attention.all, layer.post_norm]
    return backbone(layer)[: _sends_after(layer)]


def _experts(build: GraphBuilder, layer: Layer, compute: Deps, landed: Deps) -> tuple[Deps, Deps]:
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


def _finish(build: GraphBuilder, layer: Layer, compute: Deps, landed: Deps) -> Deps:
    if isinstance(layer, DenseLayer):
        return compute
    works = [*layer.moe.combine.receive, layer.merge]
    return build.chain(works, stream="main", layer=layer.index, after=joined(compute, landed), suffix=layer.suffix)


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
    if isinstance(layer, DenseLayer):
        return [*layer.attention.all, layer.post_norm, *layer.ffn.all]
    return _attention(layer)
