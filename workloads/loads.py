"""Expert loads and all-to-all copies per rank, as expectations or as one seeded sample per layer.

L MoE layers (1 where all are alike), R ranks, X experts on a rank, N routed experts, E ranks of an EP group, S source
and D destination rank inside a group, M nodes of a group.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial

import numpy as np

from workloads.choices import (
    ChoiceCounts,
    expected_choices,
    expert_ranks,
    load_trace,
    popularity,
    replayed_choices,
    sampled_choices,
)
from workloads.ops import FloatArray, IntArray
from workloads.routing import ffn_expert_distribution
from workloads.step import StepSpec
from workloads.zoo import n_moe_layers


@dataclass(frozen=True, kw_only=True)
class RoutedLoads:
    """What routing asks of each rank in each layer.

    `rows_LRX`: rows of each local expert. `active_LR`: local experts with at least one row. Copies, one per chosen
    expert: `sent_*`, `received_*` inside the node and to other nodes, `local_LR` to the rank itself. With one copy per
    destination node (`nic_*`, rail-aligned) and forwarding inside it (`nvlink_*`): tokens. `reached_LR`: (token, rank)
    pairs of which the token has an expert on the rank, itself included.
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

    @property
    def rows_LR(self) -> FloatArray:
        """Rows of all local experts."""
        return np.asarray(self.rows_LRX.sum(axis=2))


def routed_loads(step: StepSpec, tokens_R: FloatArray, part: int = 0) -> RoutedLoads:
    """Return the loads of every MoE layer of `step` with `tokens_R` tokens of (half-)batch `part` on each rank.

    Layers are alike (L = 1) when expectations are asked for and popularity is not drawn anew in each layer. Popularity
    is the same for all parts of a batch, choices are drawn for each. A model without MoE layers has one layer of zeros.
    """
    if n_moe_layers(step.model) == 0:
        return _no_loads(len(tokens_R))
    kind, _, argument = step.routing.popularity.partition(":")
    alike = step.routing.draw == "mean" and kind in {"balanced", "counts"}
    popularity_rng, choice_rng = np.random.default_rng([step.seed, 1]), np.random.default_rng([step.seed, 2, part])
    ep = step.layout.ep
    layers = []
    for layer in range(1 if alike else n_moe_layers(step.model)):
        if kind == "trace":
            choose: Callable[[FloatArray], ChoiceCounts] = partial(
                replayed_choices, step, trace=load_trace(argument), layer=layer, rng=choice_rng
            )
        else:
            choose = _drawn(step, popularity_rng, choice_rng)
        groups = [_group_loads(step, choose(tokens_R[first : first + ep])) for first in range(0, len(tokens_R), ep)]
        layers.append(_concatenate(groups, axis=1))
    return _concatenate(layers, axis=0)


def _no_loads(n_ranks: int) -> RoutedLoads:
    """Nothing is routed: no expert, no copy on any rank."""
    names = [f.name for f in fields(RoutedLoads) if f.name != "rows_LRX"]
    return RoutedLoads(rows_LRX=np.zeros((1, n_ranks, 0)), **{name: np.zeros((1, n_ranks)) for name in names})


def _drawn(
    step: StepSpec, popularity_rng: np.random.Generator, choice_rng: np.random.Generator
) -> Callable[[FloatArray], ChoiceCounts]:
    """Return how the tokens of a group choose in a layer: by its popularity, in expectation or drawn."""
    pmf_K = ffn_expert_distribution(step.model.moe, step.routing.ffn_experts, step.routing.zero_experts)
    group_tokens = step.batch.sequences_per_gpu * step.queries_per_sequence * step.layout.ep
    popularity_N = popularity(step, group_tokens, popularity_rng)
    if step.routing.draw == "sample":
        return partial(sampled_choices, step, popularity_N=popularity_N, pmf_K=pmf_K, rng=choice_rng)
    return partial(expected_choices, step, popularity_N=popularity_N, pmf_K=pmf_K)


def _group_loads(step: StepSpec, counts: ChoiceCounts) -> RoutedLoads:
    """Turn the choices inside one EP group into the loads of its ranks (L = 1, R = E)."""
    ep, per_node, rank_N = step.layout.ep, step.devices_per_node, expert_ranks(step)
    by_rank = np.argsort(rank_N, kind="stable")
    choices_SDX = counts.choices_SN[:, by_rank].reshape(ep, ep, -1)
    pair_SD = choices_SDX.sum(axis=2)
    node_E = np.arange(ep) // per_node
    same_node_SD, itself_SD = node_E[:, None] == node_E, np.eye(ep, dtype=bool)
    near_SD, far_SD = np.where(same_node_SD & ~itself_SD, pair_SD, 0.0), np.where(same_node_SD, 0.0, pair_SD)
    dedup = _deduplicated(counts, node_E, np.arange(ep) % per_node)
    row = {
        "active_LR": counts.active_N[by_rank].reshape(ep, -1).sum(axis=1),
        "local_LR": np.diagonal(pair_SD),
        "sent_node_LR": near_SD.sum(axis=1), "received_node_LR": near_SD.sum(axis=0),
        "sent_remote_LR": far_SD.sum(axis=1), "received_remote_LR": far_SD.sum(axis=0),
    } | dedup  # fmt: skip
    return RoutedLoads(rows_LRX=choices_SDX.sum(axis=0)[None], **{name: a[None] for name, a in row.items()})


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
    }


def _concatenate(parts: Sequence[RoutedLoads], axis: int) -> RoutedLoads:
    if len(parts) == 1:
        return parts[0]
    names = [f.name for f in fields(RoutedLoads)]
    return RoutedLoads(**{name: np.concatenate([getattr(p, name) for p in parts], axis=axis) for name in names})
