"""Expert loads and all-to-all copies per rank, as expectations or as one seeded sample per layer.

L MoE layers (1 where all are alike), R ranks, X experts on a rank, N routed experts, E ranks of an EP group, S source
and D destination rank inside a group, M nodes of a group.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from workloads.ops import FloatArray, IntArray
from workloads.routing import (
    ffn_expert_distribution,
    inclusion_probabilities,
    power_law,
    sample_choices,
    touch_probabilities,
)
from workloads.routing_counts import read_counts
from workloads.step import StepSpec
from workloads.zoo import n_moe_layers


@dataclass(frozen=True, kw_only=True)
class RoutedLoads:
    """What routing asks of each rank in each layer.

    `rows_LRX`: rows of each local expert. `active_LR`: local experts with at least one row. Copies, one per chosen
    expert: `sent_*`, `received_*` inside the node and to other nodes, `local_LR` to the rank itself. With one copy per
    destination node (`nic_*`, rail-aligned) and forwarding inside it (`nvlink_*`): tokens.
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

    @property
    def rows_LR(self) -> FloatArray:
        """Rows of all local experts."""
        return np.asarray(self.rows_LRX.sum(axis=2))


def expert_ranks(step: StepSpec) -> IntArray:
    """Return the rank inside its EP group that holds each routed expert, (N,)."""
    n, ep = step.model.moe.n_routed_experts, step.layout.ep
    experts_N = np.arange(n)
    return experts_N // (n // ep) if step.layout.expert_placement == "contiguous" else experts_N % ep


def _popularity(step: StepSpec, n_tokens: float, rng: np.random.Generator) -> FloatArray:
    n, spec = step.model.moe.n_routed_experts, step.routing.popularity
    if spec == "balanced":
        return np.full(n, 1.0 / n)
    kind, _, argument = spec.partition(":")
    if kind == "power_law":
        return power_law(n, float(argument), max(0.8 * n_tokens, 2.0), rng)
    counts_N = read_counts(argument, n)
    return np.asarray(counts_N / counts_N.sum())


def routed_loads(step: StepSpec, tokens_R: FloatArray, part: int = 0) -> RoutedLoads:
    """Return the loads of every MoE layer of `step` with `tokens_R` tokens of (half-)batch `part` on each rank.

    Layers are alike (L = 1) when expectations are asked for and popularity is not drawn anew in each layer. Popularity
    is the same for all parts of a batch, choices are drawn for each. A model without MoE layers has one layer of zeros.
    """
    if n_moe_layers(step.model) == 0:
        return _no_loads(len(tokens_R))
    pmf_K = ffn_expert_distribution(step.model.moe, step.routing.ffn_experts, step.routing.zero_experts)
    sampled = step.routing.draw == "sample"
    drawn_popularity = step.routing.popularity.startswith("power_law")
    popularity_rng, choice_rng = np.random.default_rng([step.seed, 1]), np.random.default_rng([step.seed, 2, part])
    ep = step.layout.ep
    group_tokens = step.batch.sequences_per_gpu * step.queries_per_sequence * ep
    layers = []
    for _ in range(n_moe_layers(step.model) if sampled or drawn_popularity else 1):
        popularity_N = _popularity(step, group_tokens, popularity_rng)
        groups = []
        for first in range(0, len(tokens_R), ep):
            tokens_S = tokens_R[first : first + ep]
            if sampled:
                counts = _sampled_counts(step, tokens_S, popularity_N, pmf_K, choice_rng)
            else:
                counts = _expected_counts(step, tokens_S, popularity_N, pmf_K)
            groups.append(_group_loads(step, counts))
        layers.append(_concatenate(groups, axis=1))
    return _concatenate(layers, axis=0)


def _no_loads(n_ranks: int) -> RoutedLoads:
    """Nothing is routed: no expert, no copy on any rank."""
    names = [f.name for f in fields(RoutedLoads) if f.name != "rows_LRX"]
    return RoutedLoads(rows_LRX=np.zeros((1, n_ranks, 0)), **{name: np.zeros((1, n_ranks)) for name in names})


@dataclass(frozen=True, kw_only=True)
class _Counts:
    """Choices inside one EP group. `choices_SN`: by source rank and expert; `active_N`: probability that the expert
    has a row; `touched_SD`, `touched_SM`: tokens of a source with at least one expert on a rank, in a node."""

    choices_SN: FloatArray
    active_N: FloatArray
    touched_SD: FloatArray
    touched_SM: FloatArray


def _expected_counts(step: StepSpec, tokens_S: FloatArray, popularity_N: FloatArray, pmf_K: FloatArray) -> _Counts:
    rank_N, ep, per_node = expert_ranks(step), step.layout.ep, step.devices_per_node
    n_nodes = -(-ep // per_node)
    include_N = inclusion_probabilities(popularity_N, pmf_K)
    choices_SN = np.outer(tokens_S, include_N)
    rank_D = touch_probabilities(popularity_N, pmf_K, rank_N, ep)
    node_M = touch_probabilities(popularity_N, pmf_K, rank_N // per_node, n_nodes)
    active_N = 1.0 - np.clip(1.0 - include_N, 0.0, 1.0) ** tokens_S.sum()
    zero_slots = _remapped_slots(step, pmf_K)
    if zero_slots:
        choices_SN[:, 0] += tokens_S * zero_slots
        rank_D[rank_N[0]] = _touch_with_remap(popularity_N, pmf_K, rank_N)
        node_M[rank_N[0] // per_node] = _touch_with_remap(popularity_N, pmf_K, rank_N // per_node)
        active_N[0] = 1.0
    return _Counts(
        choices_SN=choices_SN,
        active_N=active_N,
        touched_SD=np.outer(tokens_S, rank_D),
        touched_SM=np.outer(tokens_S, node_M),
    )


def _remapped_slots(step: StepSpec, pmf_K: FloatArray) -> float:
    """Mean zero-expert slots per token that policy remap0 sends to expert 0."""
    if step.routing.zero_experts != "remap0" or step.model.moe.n_zero_experts == 0:
        return 0.0
    return float(len(pmf_K) - 1 - np.dot(np.arange(len(pmf_K)), pmf_K))


def _touch_with_remap(popularity_N: FloatArray, pmf_K: FloatArray, group_N: IntArray) -> float:
    """Probability that a token touches expert 0's group when every token with a zero expert is sent there."""
    all_ffn_K = np.zeros(len(pmf_K))
    all_ffn_K[-1] = 1.0
    elsewhere_N = (group_N != group_N[0]).astype(np.int64)
    touch = touch_probabilities(popularity_N, all_ffn_K, elsewhere_N, 2)[0]
    return float(1.0 - pmf_K[-1] + pmf_K[-1] * touch)


def _sampled_counts(
    step: StepSpec, tokens_S: FloatArray, popularity_N: FloatArray, pmf_K: FloatArray, rng: np.random.Generator
) -> _Counts:
    moe, ep, per_node = step.model.moe, step.layout.ep, step.devices_per_node
    rank_N = expert_ranks(step)
    whole_S = np.round(tokens_S).astype(np.int64)
    source_T = np.repeat(np.arange(ep), whole_S)
    token, expert = sample_choices(popularity_N, pmf_K, len(source_T), rng)
    if _remapped_slots(step, pmf_K):
        zeros_T = len(pmf_K) - 1 - np.bincount(token, minlength=len(source_T))
        token = np.concatenate([token, np.repeat(np.arange(len(source_T)), zeros_T)])
        expert = np.concatenate([expert, np.zeros(int(zeros_T.sum()), dtype=np.int64)])
    n, n_nodes = moe.n_routed_experts, -(-ep // per_node)
    choices_SN = np.bincount(source_T[token] * n + expert, minlength=ep * n).reshape(ep, n).astype(float)
    return _Counts(
        choices_SN=choices_SN,
        active_N=(choices_SN.sum(axis=0) > 0).astype(float),
        touched_SD=_touched(source_T, token, rank_N[expert], ep, ep),
        touched_SM=_touched(source_T, token, rank_N[expert] // per_node, ep, n_nodes),
    )


def _touched(source_T: IntArray, token: IntArray, group: IntArray, n_sources: int, n_groups: int) -> FloatArray:
    seen = np.zeros(len(source_T) * n_groups, dtype=bool)
    seen[token * n_groups + group] = True
    pairs = np.flatnonzero(seen)
    counted = np.bincount(source_T[pairs // n_groups] * n_groups + pairs % n_groups, minlength=n_sources * n_groups)
    return counted.reshape(n_sources, n_groups).astype(float)


def _group_loads(step: StepSpec, counts: _Counts) -> RoutedLoads:
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


def _deduplicated(counts: _Counts, node_E: IntArray, rail_E: IntArray) -> dict[str, FloatArray]:
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
    }


def _concatenate(parts: Sequence[RoutedLoads], axis: int) -> RoutedLoads:
    if len(parts) == 1:
        return parts[0]
    names = [f.name for f in fields(RoutedLoads)]
    return RoutedLoads(**{name: np.concatenate([getattr(p, name) for p in parts], axis=axis) for name in names})
