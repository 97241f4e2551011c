"""The placement of a step's experts in each MoE layer, from the loads it knows, and what it moves when made anew.

N routed experts, L MoE layers, E ranks of an EP group, S source and D destination rank in it, Q expert slots.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workloads.choices import popularity, remapped_slots
from workloads.expert_placement import ExpertPlacement, contiguous, eplb, eplb_hierarchical, round_robin
from workloads.layout import LOAD_AWARE
from workloads.limited_routing import included
from workloads.ops import FloatArray, IntArray
from workloads.replayed import load_trace, recorded_ids, recorded_loads
from workloads.routing import ffn_expert_distribution
from workloads.step import StepSpec
from workloads.zoo import n_moe_layers


@dataclass(frozen=True, kw_only=True)
class LayerRouting:
    """How one MoE layer's tokens choose: `popularity_N` (None: replayed from a trace) and its placement."""

    popularity_N: FloatArray | None
    placement: ExpertPlacement


def layers_are_alike(step: StepSpec) -> bool:
    """Return whether every MoE layer has the same expected loads and the same placement."""
    kind = step.routing.popularity.partition(":")[0]
    alike = kind in {"balanced", "counts"} and step.routing.draw == "mean" and not step.routing.drift
    return alike and not step.layout.window_steps


def layer_routings(step: StepSpec, window: int = 0) -> Iterator[LayerRouting]:
    """Yield popularity and placement of each MoE layer (one where all are alike); `window`: which of the earlier
    windows of counted loads the placement is made from."""
    kind, _, argument = step.routing.popularity.partition(":")
    pmf_K = ffn_expert_distribution(step.model.moe, step.routing.ffn_experts, step.routing.zero_experts)
    rng, drift_rng = np.random.default_rng([step.seed, 1]), np.random.default_rng([step.seed, 5])
    for layer in range(1 if layers_are_alike(step) else n_moe_layers(step.model)):
        popularity_N = None if kind == "trace" else popularity(step, _group_tokens(step), rng)
        loads_N = np.empty(0)
        if step.layout.expert_placement in LOAD_AWARE:
            if popularity_N is not None:
                loads_N = _expected_loads(step, popularity_N, pmf_K)
                loads_N = _counted_in_window(step, loads_N, layer, window) if step.layout.window_steps else loads_N
            else:
                loads_N = _recorded_loads(step, argument, layer, window)
        if popularity_N is not None and step.routing.drift:
            popularity_N = drifted(popularity_N, step.routing.drift, drift_rng)
        yield LayerRouting(popularity_N=popularity_N, placement=placement_for(step, loads_N))


def drifted(popularity_N: FloatArray, drift: float, rng: np.random.Generator) -> FloatArray:
    """Return what popularities have become, times exp(drift z) with z standard normal, normalised to sum 1."""
    now_N = popularity_N * np.exp(drift * rng.standard_normal(len(popularity_N)))
    return np.asarray(now_N / now_N.sum())


def placement_for(step: StepSpec, loads_N: FloatArray) -> ExpertPlacement:
    """Return the placement that the step's layout makes of these loads (of no use to one that is not load-aware)."""
    layout, n, n_slots = step.layout, step.model.moe.n_routed_experts, step.n_expert_slots
    ep, per_node = layout.ep, min(step.devices_per_node, layout.ep)
    if layout.expert_placement == "contiguous":
        expert_Q = contiguous(n, n_slots)
    elif layout.expert_placement == "round_robin":
        expert_Q = round_robin(n, n_slots, ep)
    elif layout.expert_placement == "eplb":
        expert_Q = eplb(loads_N, n_slots, ep)
    else:
        expert_Q = eplb_hierarchical(loads_N, n_slots, ep, n_nodes=ep // per_node, n_groups=layout.n_expert_groups or n)
    return ExpertPlacement(
        expert_Q=expert_Q, n_experts=n, n_ranks=ep, ranks_per_node=per_node, replica_choice=layout.replica_choice
    )


def _group_tokens(step: StepSpec) -> float:
    return step.batch.sequences_per_gpu * step.queries_per_sequence * step.layout.ep


def _expected_loads(step: StepSpec, popularity_N: FloatArray, pmf_K: FloatArray) -> FloatArray:
    """Mean rows per token of each expert."""
    loads_N = included(step.model.moe, popularity_N, pmf_K)
    loads_N[0] += remapped_slots(step, pmf_K)
    return loads_N


def _counted_in_window(step: StepSpec, loads_N: FloatArray, layer: int, window: int) -> FloatArray:
    """Rows of each expert in one earlier window of steps: sums over many independent tokens, taken as Poisson."""
    n_tokens = _group_tokens(step) * step.layout.window_steps
    rng = np.random.default_rng([step.seed, 4, layer, window])
    return rng.poisson(loads_N * n_tokens).astype(float)


def _recorded_loads(step: StepSpec, path: str, layer: int, window: int) -> FloatArray:
    """Loads of the whole trace, or of one window of its steps."""
    trace, n_steps = load_trace(path), step.layout.window_steps
    ids_MK = recorded_ids(step, trace, layer)
    if n_steps:
        ends = np.concatenate([[0], np.cumsum(trace.tokens_per_step)])
        ids_MK = ids_MK[ends[window * n_steps] : ends[(window + 1) * n_steps]]
    return recorded_loads(ids_MK, trace.n_routed_experts)


def rebalance_moves(step: StepSpec) -> IntArray:
    """Return how many experts rank S sends to rank D of an EP group, all layers together, when the placement of one
    window of loads gives way to that of the next, (S, D)."""
    repeats = n_moe_layers(step.model) if layers_are_alike(step) else 1
    moved_SD = np.zeros((step.layout.ep, step.layout.ep), dtype=np.int64)
    for old, new in zip(layer_routings(step, window=0), layer_routings(step, window=1), strict=True):
        moved_SD += repeats * moves_between(old.placement, new.placement)
    return moved_SD


def moves_between(old: ExpertPlacement, new: ExpertPlacement) -> IntArray:
    """Return how many experts rank S sends to rank D, (S, D).

    A rank fetches every expert that it did not hold, from a rank of its node where one holds it, else from any; of
    several, from the one that has sent least.
    """
    held_EN, wanted_EN = _held(old), _held(new)
    moved_SD, sent_E = np.zeros((old.n_ranks, old.n_ranks), dtype=np.int64), np.zeros(old.n_ranks, dtype=np.int64)
    for rank, expert in np.argwhere(wanted_EN & ~held_EN):
        near_E = held_EN[:, expert] & (old.node_E == old.node_E[rank])
        source = np.argmin(np.where(near_E if near_E.any() else held_EN[:, expert], sent_E, np.iinfo(int).max))
        moved_SD[source, rank] += 1
        sent_E[source] += 1
    return moved_SD


def _held(placement: ExpertPlacement) -> np.ndarray:
    held_EN = np.zeros((placement.n_ranks, placement.n_experts), dtype=bool)
    held_EN[placement.rank_Q, placement.expert_Q] = True
    return held_EN
