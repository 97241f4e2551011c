"""Expert loads and all-to-all copies per rank, as expectations or as one seeded sample per layer.

L MoE layers (1 where all are alike), R ranks, X expert slots of a rank, Q slots and E ranks of an EP group, S source
and D destination rank inside a group, M nodes of a group.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np

from workloads.borders import Scope, crossings, on_ranks
from workloads.choices import ChoiceCounts, expected_choices, sampled_choices
from workloads.expert_placement import ExpertPlacement
from workloads.ops import FloatArray, IntArray
from workloads.placements import LayerRouting, layer_routings
from workloads.replayed import load_trace, replayed_choices
from workloads.routing import ffn_expert_distribution
from workloads.step import StepSpec
from workloads.zoo import n_moe_layers


@dataclass(frozen=True, kw_only=True)
class RoutedLoads:
    """What routing asks of each rank in each layer.

    `rows_LRX`: rows of each local expert slot. `active_LR`: local slots with at least one row. Copies, one per chosen
    expert: `sent_*`, `received_*` inside the node and to other nodes, `local_LR` to the rank itself. With one copy per
    destination node (`nic_*`, rail-aligned) and forwarding inside it (`nvlink_*`): tokens. `reached_LR`: (token, rank)
    pairs of which the token has an expert on the rank, itself included; `arrived_LR`: the same seen from that rank, the
    tokens that it gets. `border_out_LRV`, `border_in_LRV`: copies of this step's kind of all-to-all on the links out of
    and into the rank's group at each border V, all of it together.
    """

    rows_LRX: FloatArray
    active_LR: FloatArray
    local_LR: FloatArray
    sent_node_LR: FloatArray
    sent_remote_LR: FloatArray
    received_node_LR: FloatArray
    received_remote_LR: FloatArray
    nic_sent_LR: FloatArray
    nic_received_LR: FloatArray
    nvlink_sent_LR: FloatArray
    nvlink_received_LR: FloatArray
    reached_LR: FloatArray
    arrived_LR: FloatArray
    border_out_LRV: FloatArray
    border_in_LRV: FloatArray

    @property
    def rows_LR(self) -> FloatArray:
        """Rows of all local experts."""
        return np.asarray(self.rows_LRX.sum(axis=2))


def routed_loads(step: StepSpec, tokens_R: FloatArray, part: int = 0) -> RoutedLoads:
    """Return the loads of every MoE layer of `step` with `tokens_R` tokens of (half-)batch `part` on each rank.

    Layers are alike (L = 1) when expectations are asked for and neither popularity nor placement differs by layer.
    These are the same for all parts of a batch, choices are drawn for each. A model without MoE layers has one layer
    of zeros. Ranks that split experts by width (`moe_tp`) each have the rows of all of them.
    """
    if n_moe_layers(step.model) == 0:
        return _no_loads(len(tokens_R), len(step.borders))
    drawn = [step.draw_number] if step.draw_number else []
    rng, ep = np.random.default_rng([step.seed, 2, part, *drawn]), step.layout.ep
    tokens_R = tokens_R * step.layout.moe_tp
    layers = []
    for layer, routing in enumerate(layer_routings(step)):
        choose, placement = _chooser(step, routing, layer, rng), routing.placement
        counts = [choose(tokens_R[at : at + ep]) for at in range(0, len(tokens_R), ep)]
        loads = _concatenate([_group_loads(placement, count) for count in counts], axis=1)
        layers.append(_with_borders(step, loads, placement, counts) if step.borders else loads)
    return _concatenate(layers, axis=0)


def _no_loads(n_ranks: int, n_borders: int) -> RoutedLoads:
    """Nothing is routed: no expert, no copy on any rank."""
    names = [f.name for f in fields(RoutedLoads) if f.name.endswith("_LR")]
    none_LRV = np.zeros((1, n_ranks, n_borders))
    return RoutedLoads(
        rows_LRX=np.zeros((1, n_ranks, 0)), border_out_LRV=none_LRV, border_in_LRV=none_LRV,
        **{name: np.zeros((1, n_ranks)) for name in names},
    )  # fmt: skip


def _with_borders(
    step: StepSpec, loads: RoutedLoads, placement: ExpertPlacement, counts: Sequence[ChoiceCounts]
) -> RoutedLoads:
    """The loads of one layer with what all EP groups together send over each border of the fabric."""
    crossed = [np.zeros((2, len(border.groups))) for border in step.borders]
    for number, count in enumerate(counts):
        pairs = _pairs(placement, count, once_per_node=step.all_to_all in {"normal", "hierarchical"})
        for at, border in enumerate(step.borders):
            crossed[at] += crossings(border, pairs[border.scope], number * placement.n_ranks)
    out_LRV, in_LRV = on_ranks(step.borders, crossed, step.n_gpus)
    return replace(loads, border_out_LRV=out_LRV, border_in_LRV=in_LRV)


def _pairs(placement: ExpertPlacement, counts: ChoiceCounts, *, once_per_node: bool) -> dict[Scope, FloatArray]:
    """Copies from each rank S to each rank D of one group, by the scope of the borders that they may cross."""
    ep, node_E = placement.n_ranks, placement.node_E
    same_node_SD = node_E[:, None] == node_E
    if not once_per_node:
        pair_SD = counts.choices_SQ.reshape(ep, ep, -1).sum(axis=2)
        near_SD = np.where(same_node_SD & ~np.eye(ep, dtype=bool), pair_SD, 0.0)
        far_SD = np.where(same_node_SD, 0.0, pair_SD)
        return {"node": near_SD, "fabric": far_SD, "any": near_SD + far_SD}
    rail_E = np.arange(ep) % placement.ranks_per_node
    same_rail_SD = rail_E[:, None] == rail_E
    away_SD = np.where(same_node_SD | ~same_rail_SD, 0.0, counts.touched_SM[:, node_E])
    hop_SD = np.where(same_rail_SD, 0.0, counts.touched_SD)  # from the rank of the source's rail in the node of D
    forwarded_SD = np.where(same_node_SD, same_rail_SD.astype(float) @ hop_SD, 0.0)
    return {"node": forwarded_SD, "fabric": away_SD, "any": forwarded_SD + away_SD}


def _chooser(
    step: StepSpec, routing: LayerRouting, layer: int, rng: np.random.Generator
) -> Callable[[FloatArray], ChoiceCounts]:
    """Return how the tokens of a group choose in a layer: as recorded, in expectation or drawn."""
    if routing.popularity_N is None:
        trace = load_trace(step.routing.popularity.partition(":")[2])
        return partial(replayed_choices, step, routing.placement, trace=trace, layer=layer, rng=rng)
    pmf_K = ffn_expert_distribution(step.model.moe, step.routing.ffn_experts, step.routing.zero_experts)
    choose = partial(sampled_choices, rng=rng) if step.routing.draw == "sample" else expected_choices
    return partial(choose, step, routing.placement, popularity_N=routing.popularity_N, pmf_K=pmf_K)


def _group_loads(placement: ExpertPlacement, counts: ChoiceCounts) -> RoutedLoads:
    """Turn the choices inside one EP group into the loads of its ranks (L = 1, R = E)."""
    ep, node_E = placement.n_ranks, placement.node_E
    choices_SDX = counts.choices_SQ.reshape(ep, ep, -1)
    pair_SD = choices_SDX.sum(axis=2)
    same_node_SD, itself_SD = node_E[:, None] == node_E, np.eye(ep, dtype=bool)
    near_SD, far_SD = np.where(same_node_SD & ~itself_SD, pair_SD, 0.0), np.where(same_node_SD, 0.0, pair_SD)
    dedup = _deduplicated(counts, node_E, np.arange(ep) % placement.ranks_per_node)
    row = {
        "active_LR": counts.active_Q.reshape(ep, -1).sum(axis=1),
        "local_LR": np.diagonal(pair_SD),
        "sent_node_LR": near_SD.sum(axis=1), "received_node_LR": near_SD.sum(axis=0),
        "sent_remote_LR": far_SD.sum(axis=1), "received_remote_LR": far_SD.sum(axis=0),
    } | dedup  # fmt: skip
    none_LRV = np.zeros((1, ep, 0))
    return RoutedLoads(
        rows_LRX=choices_SDX.sum(axis=0)[None], border_out_LRV=none_LRV, border_in_LRV=none_LRV,
        **{name: a[None] for name, a in row.items()},
    )  # fmt: skip


def _deduplicated(counts: ChoiceCounts, node_E: IntArray, rail_E: IntArray) -> dict[str, FloatArray]:
    """Copies when each token crosses to a node once, on its source's rail, and is forwarded inside it.

    A source's copy arrives at the rank of the same rail in the destination node; from there, as from the source in its
    own node, one copy goes over NVLink to every other rank of that node that the token touches.
    """
    n_nodes = counts.touched_SM.shape[1]
    away_SM = np.where(node_E[:, None] == np.arange(n_nodes), 0.0, counts.touched_SM)
    same_rail = rail_E[:, None] == rail_E
    forwarder_SD = same_rail  # the rank of a source's rail in the destination's node receives from the NIC or is it
    hop_SD = np.where(forwarder_SD, 0.0, counts.touched_SD)
    return {
        "nic_sent_LR": away_SM.sum(axis=1),
        "nic_received_LR": np.array([away_SM[rail_E == rail_E[d], node_E[d]].sum() for d in range(len(node_E))]),
        "nvlink_sent_LR": np.array(
            [hop_SD[np.ix_(rail_E == rail_E[f], node_E == node_E[f])].sum() for f in range(len(node_E))]
        ),
        "nvlink_received_LR": hop_SD.sum(axis=0),
        "reached_LR": counts.touched_SD.sum(axis=1),
        "arrived_LR": counts.touched_SD.sum(axis=0),
    }


def _concatenate(parts: Sequence[RoutedLoads], axis: int) -> RoutedLoads:
    if len(parts) == 1:
        return parts[0]
    names = [f.name for f in fields(RoutedLoads)]
    return RoutedLoads(**{name: np.concatenate([getattr(p, name) for p in parts], axis=axis) for name in names})
