"""Who chooses what inside one EP group: expected, sampled or replayed from a recorded trace.

N routed experts, E ranks of the group, S source and D destination rank inside it, M nodes of the group, T tokens, K
top-k.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from workloads.ops import FloatArray, IntArray
from workloads.routing import inclusion_probabilities, power_law, sample_choices, touch_probabilities
from workloads.routing_counts import read_counts
from workloads.routing_trace import RoutingTrace, read_routing_trace
from workloads.step import StepSpec


def expert_ranks(step: StepSpec) -> IntArray:
    """Return the rank inside its EP group that holds each routed expert, (N,)."""
    n, ep = step.model.moe.n_routed_experts, step.layout.ep
    experts_N = np.arange(n)
    return experts_N // (n // ep) if step.layout.expert_placement == "contiguous" else experts_N % ep


def popularity(step: StepSpec, n_tokens: float, rng: np.random.Generator) -> FloatArray:
    """Return the popularity of each expert, (N,), sum 1: even, drawn from a power law (cut at 0.8 of the group's
    `n_tokens`, as aiconfigurator draws it), or counted in a file."""
    n, spec = step.model.moe.n_routed_experts, step.routing.popularity
    if spec == "balanced":
        return np.full(n, 1.0 / n)
    kind, _, argument = spec.partition(":")
    if kind == "power_law":
        return power_law(n, float(argument), max(0.8 * n_tokens, 2.0), rng)
    counts_N = read_counts(argument, n, at_least=step.model.moe.top_k)
    return np.asarray(counts_N / counts_N.sum())


@dataclass(frozen=True, kw_only=True)
class ChoiceCounts:
    """Choices inside one EP group. `choices_SN`: by source rank and expert; `active_N`: probability that the expert
    has a row; `touched_SD`, `touched_SM`: tokens of a source with at least one expert on a rank, in a node."""

    choices_SN: FloatArray
    active_N: FloatArray
    touched_SD: FloatArray
    touched_SM: FloatArray


def expected_choices(step: StepSpec, tokens_S: FloatArray, popularity_N: FloatArray, pmf_K: FloatArray) -> ChoiceCounts:
    """Return the exact expectations of the choices of `tokens_S` tokens on each source rank."""
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
    return ChoiceCounts(
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


def sampled_choices(
    step: StepSpec, tokens_S: FloatArray, popularity_N: FloatArray, pmf_K: FloatArray, rng: np.random.Generator
) -> ChoiceCounts:
    """Return one draw of the choices of `tokens_S` tokens (rounded to whole ones) on each source rank."""
    ep = step.layout.ep
    whole_S = np.round(tokens_S).astype(np.int64)
    source_T = np.repeat(np.arange(ep), whole_S)
    token, expert = sample_choices(popularity_N, pmf_K, len(source_T), rng)
    if _remapped_slots(step, pmf_K):
        zeros_T = len(pmf_K) - 1 - np.bincount(token, minlength=len(source_T))
        token = np.concatenate([token, np.repeat(np.arange(len(source_T)), zeros_T)])
        expert = np.concatenate([expert, np.zeros(int(zeros_T.sum()), dtype=np.int64)])
    return _counted(step, source_T, token, expert, ep)


def _counted(step: StepSpec, source_T: IntArray, token: IntArray, expert: IntArray, n_sources: int) -> ChoiceCounts:
    """Count choices (token, expert) by the source of the token."""
    ep, per_node, n = step.layout.ep, step.devices_per_node, step.model.moe.n_routed_experts
    rank = expert_ranks(step)[expert]
    choices_SN = np.bincount(source_T[token] * n + expert, minlength=n_sources * n).reshape(n_sources, n).astype(float)
    return ChoiceCounts(
        choices_SN=choices_SN,
        active_N=(choices_SN.sum(axis=0) > 0).astype(float),
        touched_SD=_touched(source_T, token, rank, n_sources, ep),
        touched_SM=_touched(source_T, token, rank // per_node, n_sources, -(-ep // per_node)),
    )


def _touched(source_T: IntArray, token: IntArray, group: IntArray, n_sources: int, n_groups: int) -> FloatArray:
    seen = np.zeros(len(source_T) * n_groups, dtype=bool)
    seen[token * n_groups + group] = True
    pairs = np.flatnonzero(seen)
    counted = np.bincount(source_T[pairs // n_groups] * n_groups + pairs % n_groups, minlength=n_sources * n_groups)
    return counted.reshape(n_sources, n_groups).astype(float)


@lru_cache(maxsize=4)
def load_trace(path: str) -> RoutingTrace:
    """Return the routing trace in a file, read once; ValueError says what is wrong with it."""
    try:
        return read_routing_trace(Path(path))
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise ValueError(msg) from error


def replayed_choices(
    step: StepSpec, tokens_S: FloatArray, trace: RoutingTrace, layer: int, rng: np.random.Generator
) -> ChoiceCounts:
    """Return the choices of one layer of a recorded trace.

    `draw = "mean"`: every rank's tokens choose as the recorded ones do on average; "sample": each token is one of the
    recorded ones, drawn with replacement, so that joint choices stay as they were. Zero experts: dropped, or (remap0)
    sent to expert 0.
    """
    ids_MK, n = trace.ids_LMK[layer].astype(np.int64), trace.n_routed_experts
    if step.routing.zero_experts == "remap0":
        ids_MK = np.where(ids_MK < n, ids_MK, 0)
    if step.routing.draw == "sample":
        source_T = np.repeat(np.arange(len(tokens_S)), np.round(tokens_S).astype(np.int64))
        token, slot = np.nonzero(ids_MK[rows_T := rng.integers(len(ids_MK), size=len(source_T))] < n)
        return _counted(step, source_T, token, ids_MK[rows_T][token, slot], len(tokens_S))
    token, slot = np.nonzero(ids_MK < n)
    whole = _counted(step, np.zeros(len(ids_MK), dtype=np.int64), token, ids_MK[token, slot], 1)
    share_S1 = tokens_S[:, None] / len(ids_MK)
    include_N = np.minimum(whole.choices_SN[0] / len(ids_MK), 1.0)
    return ChoiceCounts(
        choices_SN=share_S1 * whole.choices_SN,
        active_N=1.0 - (1.0 - include_N) ** tokens_S.sum(),
        touched_SD=share_S1 * whole.touched_SD,
        touched_SM=share_S1 * whole.touched_SM,
    )
