"""Who chooses what inside one EP group: expected or sampled.

N routed experts, Q expert slots (workloads/expert_placement.py), S source and D destination rank inside the group, M
nodes of it, F origins of rows, T tokens, K top-k.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from workloads.expert_placement import ExpertPlacement
from workloads.limited_routing import included, limited_touch, sample_within_limits
from workloads.ops import FloatArray, IntArray
from workloads.routing import (
    inclusion_probabilities,
    lognormal,
    power_law,
    split_touch_probabilities,
    touch_probabilities,
)
from workloads.routing_counts import read_counts
from workloads.step import StepSpec

_AS_GOOD_AS_WHOLE = 1e-6  # tokens


def popularity(step: StepSpec, n_tokens: float, rng: np.random.Generator) -> FloatArray:
    """Return the popularity of each expert, (N,), sum 1: even, drawn from a power law (cut at 0.8 of the group's
    `n_tokens`, as aiconfigurator draws it) or log-normal, or counted in a file."""
    n, spec = step.model.moe.n_routed_experts, step.routing.popularity
    if spec == "balanced":
        return np.full(n, 1.0 / n)
    kind, _, argument = spec.partition(":")
    if kind == "power_law":
        return power_law(n, float(argument), max(0.8 * n_tokens, 2.0), rng)
    if kind == "lognormal":
        return lognormal(n, float(argument), rng)
    counts_N = read_counts(argument, n, at_least=step.model.moe.top_k)
    return np.asarray(counts_N / counts_N.sum())


@dataclass(frozen=True, kw_only=True)
class ChoiceCounts:
    """Choices inside one EP group. `choices_SQ`: by source rank and expert slot; `active_Q`: probability that the slot
    has a row; `touched_SD`, `touched_SM`: tokens of a source with at least one expert on a rank, in a node."""

    choices_SQ: FloatArray
    active_Q: FloatArray
    touched_SD: FloatArray
    touched_SM: FloatArray


def remapped_slots(step: StepSpec, pmf_K: FloatArray) -> float:
    """Return the mean zero-expert slots per token that policy remap0 sends to expert 0."""
    if step.routing.zero_experts != "remap0" or step.model.moe.n_zero_experts == 0:
        return 0.0
    return float(len(pmf_K) - 1 - np.dot(np.arange(len(pmf_K)), pmf_K))


def expected_choices(
    step: StepSpec, placement: ExpertPlacement, tokens_S: FloatArray, popularity_N: FloatArray, pmf_K: FloatArray
) -> ChoiceCounts:
    """Return the exact expectations of the choices of `tokens_S` tokens on each source rank."""
    include_N = included(step.model.moe, popularity_N, pmf_K)
    choices_SN = np.outer(tokens_S, include_N)
    zero_slots = remapped_slots(step, pmf_K)
    if zero_slots:
        choices_SN[:, 0] += tokens_S * zero_slots
    with_row_N = _with_remapped_row(include_N, popularity_N, pmf_K) if zero_slots else include_N
    if step.model.moe.group_limited:
        rank_FD, node_FM = _touch_within_limits(step, placement, popularity_N, pmf_K)
    else:
        touch = _touch_of_replicas if placement.replicated else _touch_of_single_slots
        rank_FD, node_FM = touch(placement, popularity_N, pmf_K, remapped=bool(zero_slots))
    tokens_S1, origin_S = tokens_S[:, None], placement.origin_S
    return ChoiceCounts(
        choices_SQ=placement.slots_of(choices_SN),
        active_Q=active_slots(placement, with_row_N, tokens_S),
        touched_SD=tokens_S1 * rank_FD[origin_S],
        touched_SM=tokens_S1 * node_FM[origin_S],
    )


def active_slots(placement: ExpertPlacement, include_N: FloatArray, tokens_S: FloatArray) -> FloatArray:
    """Return the probability that any of `tokens_S` independent tokens brings a row to each slot, (Q,)."""
    if not placement.replicated:
        return np.asarray(1.0 - np.clip(1.0 - include_N, 0.0, 1.0) ** tokens_S.sum())[placement.expert_Q]
    miss_FQ = np.clip(1.0 - include_N[placement.expert_Q] * placement.share_FQ, 0.0, 1.0)
    tokens_F = np.bincount(placement.origin_S, weights=tokens_S, minlength=len(miss_FQ))
    return np.asarray(1.0 - np.prod(miss_FQ ** tokens_F[:, None], axis=0))


def _touch_of_single_slots(
    placement: ExpertPlacement, popularity_N: FloatArray, pmf_K: FloatArray, *, remapped: bool
) -> tuple[FloatArray, FloatArray]:
    """Probabilities that a token touches each rank (F, D) and node (F, M), every expert in one slot."""
    rank_N = placement.first_rank_N
    node_N, n_nodes = placement.node_E[rank_N], int(placement.node_E.max()) + 1
    rank_D = touch_probabilities(popularity_N, pmf_K, rank_N, placement.n_ranks)
    node_M = touch_probabilities(popularity_N, pmf_K, node_N, n_nodes)
    if remapped:
        rank_D[rank_N[0]] = _touch_with_remap(popularity_N, pmf_K, rank_N)
        node_M[node_N[0]] = _touch_with_remap(popularity_N, pmf_K, node_N)
    n_origins = len(placement.share_FQ)
    return np.tile(rank_D, (n_origins, 1)), np.tile(node_M, (n_origins, 1))


def _touch_of_replicas(
    placement: ExpertPlacement, popularity_N: FloatArray, pmf_K: FloatArray, *, remapped: bool
) -> tuple[FloatArray, FloatArray]:
    """Probabilities that a token touches each rank (F, D) and node (F, M), its experts each in one of their slots."""
    rank_FND, node_FNM = placement.share_on_ranks(), placement.share_on_nodes()
    touch = partial(split_touch_probabilities, popularity_N, pmf_K, always_first=remapped)
    return touch(rank_FND), touch(node_FNM)


def _touch_within_limits(
    step: StepSpec, placement: ExpertPlacement, popularity_N: FloatArray, pmf_K: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Probabilities that a token of limited groups touches each rank (F, D) and node (F, M)."""
    touch = partial(limited_touch, step.model.moe, popularity_N, pmf_K)
    return touch(placement.share_on_ranks()), touch(placement.share_on_nodes())


def _with_remapped_row(include_N: FloatArray, popularity_N: FloatArray, pmf_K: FloatArray) -> FloatArray:
    """Probability that a token has a row of each expert when every token with a zero expert has one of expert 0."""
    with_row_N = include_N.copy()
    without_zeros = inclusion_probabilities(popularity_N, _all_ffn(pmf_K))[0]
    with_row_N[0] = 1.0 - pmf_K[-1] * (1.0 - without_zeros)
    return with_row_N


def _all_ffn(pmf_K: FloatArray) -> FloatArray:
    """The distribution of tokens without a zero expert: K FFN experts."""
    return np.asarray(np.eye(len(pmf_K))[-1])


def _touch_with_remap(popularity_N: FloatArray, pmf_K: FloatArray, group_N: IntArray) -> float:
    """Probability that a token touches expert 0's group when every token with a zero expert is sent there."""
    elsewhere_N = (group_N != group_N[0]).astype(np.int64)
    touch = touch_probabilities(popularity_N, _all_ffn(pmf_K), elsewhere_N, 2)[0]
    return float(1.0 - pmf_K[-1] + pmf_K[-1] * touch)


def whole_tokens(tokens_S: FloatArray, rng: np.random.Generator) -> IntArray:
    """Return whole tokens of each rank, (S,): `tokens_S` itself where it is whole; otherwise each rank, and all of them
    together, have one of the two whole numbers around their share, with that share as the mean."""
    whole_S = np.round(tokens_S).astype(np.int64)
    if np.abs(tokens_S - whole_S).max(initial=0.0) < _AS_GOOD_AS_WHOLE:
        return np.asarray(whole_S)
    ends_S = np.floor(np.cumsum(tokens_S) + rng.random())
    return np.diff(ends_S, prepend=0.0).astype(np.int64)


def sampled_choices(
    step: StepSpec,
    placement: ExpertPlacement,
    tokens_S: FloatArray,
    *,
    popularity_N: FloatArray,
    pmf_K: FloatArray,
    rng: np.random.Generator,
) -> ChoiceCounts:
    """Return one draw of the choices of `tokens_S` tokens (`whole_tokens`) on each source rank."""
    source_T = np.repeat(np.arange(placement.n_ranks), whole_tokens(tokens_S, rng))
    token, expert = sample_within_limits(step.model.moe, popularity_N, pmf_K, len(source_T), rng)
    if remapped_slots(step, pmf_K):
        zeros_T = len(pmf_K) - 1 - np.bincount(token, minlength=len(source_T))
        token = np.concatenate([token, np.repeat(np.arange(len(source_T)), zeros_T)])
        expert = np.concatenate([expert, np.zeros(int(zeros_T.sum()), dtype=np.int64)])
    return counted_choices(placement, source_T, token, expert, rng)


def counted_choices(
    placement: ExpertPlacement, source_T: IntArray, token: IntArray, expert: IntArray, rng: np.random.Generator
) -> ChoiceCounts:
    """Return the counts of choices (token, expert) by the source of the token; replicas are drawn by their shares."""
    ep, n_slots = placement.n_ranks, len(placement.expert_Q)
    slot = drawn_slots(placement, source_T, token, expert, rng)
    rank = placement.rank_Q[slot]
    choices_SQ = np.bincount(source_T[token] * n_slots + slot, minlength=ep * n_slots).reshape(ep, n_slots)
    return ChoiceCounts(
        choices_SQ=choices_SQ.astype(float),
        active_Q=(choices_SQ.sum(axis=0) > 0).astype(float),
        touched_SD=_touched(source_T, token, rank, ep, ep),
        touched_SM=_touched(source_T, token, placement.node_E[rank], ep, int(placement.node_E.max()) + 1),
    )


def drawn_slots(
    placement: ExpertPlacement, source_T: IntArray, token: IntArray, expert: IntArray, rng: np.random.Generator
) -> IntArray:
    """Return the slot that serves each choice (token, expert); an expert serves a token from one slot."""
    slots_by_expert = np.argsort(placement.expert_Q, kind="stable")
    first_N = np.cumsum(placement.n_replicas_N) - placement.n_replicas_N
    if not placement.replicated:
        return np.asarray(slots_by_expert[expert])
    _, pair = np.unique(token * placement.n_experts + expert, return_inverse=True)
    chance = rng.random(int(pair.max(initial=-1)) + 1)[pair]
    origin = placement.origin_S[source_T[token]]
    place = np.zeros(len(expert), dtype=np.int64)
    below = np.zeros(len(expert))
    for replica in range(int(placement.n_replicas_N.max()) - 1):
        at = first_N[expert] + np.minimum(replica, placement.n_replicas_N[expert] - 1)
        below += placement.share_FQ[origin, slots_by_expert[at]]
        place += (chance >= below) & (replica < placement.n_replicas_N[expert] - 1)
    return np.asarray(slots_by_expert[first_N[expert] + place])


def _touched(source_T: IntArray, token: IntArray, group: IntArray, n_sources: int, n_groups: int) -> FloatArray:
    seen = np.zeros(len(source_T) * n_groups, dtype=bool)
    seen[token * n_groups + group] = True
    pairs = np.flatnonzero(seen)
    counted = np.bincount(source_T[pairs // n_groups] * n_groups + pairs % n_groups, minlength=n_sources * n_groups)
    return counted.reshape(n_sources, n_groups).astype(float)
