"""Group-limited routing against every set of experts, enumerated, and against DeepSeek-V3's router, sampled."""

from dataclasses import replace
from itertools import combinations
from math import prod

import numpy as np
import pytest
from unit.workloads.toys import toy_step

from workloads.choices import expected_choices, sampled_choices
from workloads.limited_routing import included, limited_touch, sample_within_limits
from workloads.placements import layer_routings
from workloads.zoo import deepseek_v3, tiny

POPULARITY_N = np.array([0.30, 0.20, 0.16, 0.12, 0.09, 0.07, 0.04, 0.02])
MOE = replace(tiny().moe, n_routed_experts=8, n_zero_experts=0, top_k=3, n_expert_groups=4, n_limited_groups=2)
THREE = np.eye(4)[3]
EIGHT = np.eye(9)[8]


def laws():
    """Yield (set of three experts in at most two of the groups 01, 23, 45, 67, its probability)."""
    sets = [chosen for chosen in combinations(range(8), 3) if len({n // 2 for n in chosen}) <= 2]
    weights = [prod(POPULARITY_N[n] for n in chosen) for chosen in sets]
    return [(chosen, weight / sum(weights)) for chosen, weight in zip(sets, weights, strict=True)]


def test_inclusion_is_the_sum_over_all_sets_within_the_limit():
    expected_N = np.zeros(8)
    for chosen, probability in laws():
        expected_N[list(chosen)] += probability
    assert included(MOE, POPULARITY_N, THREE) == pytest.approx(expected_N, abs=1e-14)
    assert expected_N.sum() == pytest.approx(3.0)


def test_balanced_experts_are_taken_equally_often():
    assert included(deepseek_v3().moe, np.full(256, 1 / 256), EIGHT) == pytest.approx(np.full(256, 8 / 256))


def test_touching_a_place_is_the_sum_over_all_sets_with_each_expert_there_by_its_share():
    share_FNX = np.random.default_rng(0).random((2, 8, 3))
    expected_FX = sum(
        probability * (1.0 - np.prod(1.0 - share_FNX[:, list(chosen)], axis=1)) for chosen, probability in laws()
    )
    assert limited_touch(MOE, POPULARITY_N, THREE, share_FNX) == pytest.approx(expected_FX, abs=1e-14)


def test_samples_keep_the_limit_and_follow_the_law():
    n_tokens = 40_000
    token, expert = sample_within_limits(MOE, POPULARITY_N, THREE, n_tokens, np.random.default_rng(1))
    chosen_TK = np.sort(expert.reshape(n_tokens, 3), axis=1)
    assert token.tolist() == np.repeat(np.arange(n_tokens), 3).tolist()
    found, counts = np.unique(chosen_TK, axis=0, return_counts=True)
    drawn = {tuple(row): count / n_tokens for row, count in zip(found.tolist(), counts.tolist(), strict=True)}
    law = dict(laws())
    assert drawn.keys() <= law.keys()
    for chosen, probability in law.items():  # five standard deviations
        assert drawn.get(chosen, 0.0) == pytest.approx(probability, abs=5 * (probability / n_tokens) ** 0.5)


def test_deepseek_v3_reaches_as_many_ranks_and_nodes_as_its_router_does():
    """Independent scores; groups by the sum of their two best, then the eight best experts in four of them. Within
    2 % in ranks of eight experts and nodes of sixty-four."""
    rng, n_tokens = np.random.default_rng(2), 10_000
    score_TGS = rng.normal(size=(n_tokens, 8, 32))
    best_TG = np.sort(score_TGS, axis=2)[:, :, -2:].sum(axis=2)
    allowed_TG = best_TG >= np.sort(best_TG, axis=1)[:, 4:5]
    score_TN = np.where(allowed_TG[:, :, None], score_TGS, -np.inf).reshape(n_tokens, 256)
    chosen_TK = np.argpartition(-score_TN, 8, axis=1)[:, :8]
    for experts_per_place in (8, 64):
        sorted_TK = np.sort(chosen_TK // experts_per_place, axis=1)
        touched = 1.0 + (np.diff(sorted_TK, axis=1) > 0).sum(axis=1).mean()
        share_FNX = (np.arange(256)[:, None] // experts_per_place == np.arange(256 // experts_per_place))[None] * 1.0
        expected = limited_touch(deepseek_v3().moe, np.full(256, 1 / 256), EIGHT, share_FNX).sum()
        assert expected == pytest.approx(touched, rel=0.02)


@pytest.mark.parametrize("n_redundant", [0, 4])
def test_expectations_of_an_ep_group_are_the_mean_of_its_samples(n_redundant):
    step = toy_step(model=replace(tiny(), moe=MOE), n_gpus=4, per_node=2, ep=4)
    step = replace(step, layout=replace(step.layout, n_redundant_experts=n_redundant))
    placement = next(iter(layer_routings(step))).placement
    tokens_S, rng = np.full(4, 3000.0), np.random.default_rng(3)
    expected = expected_choices(step, placement, tokens_S, POPULARITY_N, THREE)
    sampled = sampled_choices(step, placement, tokens_S, popularity_N=POPULARITY_N, pmf_K=THREE, rng=rng)
    for name in ("choices_SQ", "touched_SD", "touched_SM"):
        spread = 5 * np.sqrt(getattr(expected, name)) + 1.0  # five standard deviations of a count
        assert np.all(np.abs(getattr(sampled, name) - getattr(expected, name)) < spread), name
