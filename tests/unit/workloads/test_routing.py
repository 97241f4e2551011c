"""Routing against an independent oracle: every set of k experts, enumerated."""

from itertools import combinations
from math import prod

import numpy as np
import pytest

from workloads.batch import FfnExperts
from workloads.routing import (
    _choose_by_rejection,
    _choose_in_turn,
    beta_binomial,
    beta_binomial_std_range,
    ffn_expert_distribution,
    inclusion_probabilities,
    lognormal,
    power_law,
    sample_choices,
    symmetric_polynomials,
    touch_probabilities,
)
from workloads.zoo import deepseek_v3, longcat_flash

UNEVEN_N = np.array([0.30, 0.22, 0.17, 0.12, 0.09, 0.06, 0.03, 0.01])
PMF_K = np.array([0.1, 0.2, 0.4, 0.3])  # of 0, 1, 2, 3 experts
GROUP_N = np.array([0, 0, 1, 1, 2, 2, 2, 0])


def laws(popularity_N, pmf_K):
    """Yield (set of experts, its probability)."""
    for k, share in enumerate(pmf_K):
        sets = list(combinations(range(len(popularity_N)), k))
        weights = [prod(popularity_N[n] for n in chosen) for chosen in sets]
        for chosen, weight in zip(sets, weights, strict=True):
            yield chosen, share * weight / sum(weights)


@pytest.mark.parametrize("popularity_N", [UNEVEN_N, np.full(8, 1 / 8), np.array([0.9, 0.09, 0.01, 0, 0, 0, 0, 0])])
def test_inclusion_is_the_sum_over_all_sets(popularity_N):
    expected_N = np.zeros(8)
    for chosen, probability in laws(popularity_N, PMF_K):
        expected_N[list(chosen)] += probability
    assert inclusion_probabilities(popularity_N, PMF_K) == pytest.approx(expected_N, abs=1e-14)


def test_inclusion_sums_to_the_mean_number_of_experts():
    assert inclusion_probabilities(UNEVEN_N, PMF_K).sum() == pytest.approx(0.2 + 2 * 0.4 + 3 * 0.3, rel=1e-12)
    pmf_K = beta_binomial(n=12, mean=8, std=3)
    steep_N = power_law(512, 1.2, 1e5, np.random.default_rng(1))
    assert inclusion_probabilities(steep_N, pmf_K).sum() == pytest.approx(8.0, rel=1e-9)


def test_touching_a_group_is_the_sum_over_all_sets_that_reach_into_it():
    expected_G = np.zeros(3)
    for chosen, probability in laws(UNEVEN_N, PMF_K):
        for group in {GROUP_N[n] for n in chosen}:
            expected_G[group] += probability
    assert touch_probabilities(UNEVEN_N, PMF_K, GROUP_N, 3) == pytest.approx(expected_G, abs=1e-14)


def test_a_group_of_everything_is_touched_by_all_who_take_any_and_an_empty_one_never():
    touched = touch_probabilities(UNEVEN_N, PMF_K, np.zeros(8, dtype=int), 2)
    assert touched == pytest.approx([0.9, 0.0], abs=1e-14)


def test_touching_balanced_groups_is_the_hypergeometric_law():
    """8 of 512 experts, 16 groups of 32: 1 - C(480, 8) / C(512, 8)."""
    miss = prod((480 - i) / (512 - i) for i in range(8))
    pmf_K = np.eye(9)[8]
    touched = touch_probabilities(np.full(512, 1 / 512), pmf_K, np.arange(512) // 32, 16)
    assert touched == pytest.approx(np.full(16, 1 - miss), rel=1e-10)


def test_symmetric_polynomials_of_four_numbers_by_hand():
    assert symmetric_polynomials(np.array([1.0, 2.0, 3.0, 4.0]), 4).tolist() == [1, 10, 35, 50, 24]


@pytest.mark.parametrize(("n", "mean", "std"), [(12, 8.0, 3.0), (12, 8.0, 2.55), (12, 7.46, 3.0), (3, 2.0, 1.0)])
def test_the_beta_binomial_has_its_mean_and_spread(n, mean, std):
    pmf = beta_binomial(n=n, mean=mean, std=std)
    k = np.arange(n + 1)
    assert pmf.sum() == pytest.approx(1.0, abs=1e-12)
    assert pmf @ k == pytest.approx(mean, rel=1e-10)
    assert pmf @ (k - mean) ** 2 == pytest.approx(std**2, rel=1e-9)
    assert pmf.min() > 0.0


def test_a_spread_below_the_binomial_or_beyond_all_or_nothing_is_refused():
    low, high = beta_binomial_std_range(n=12, mean=8)
    assert low == pytest.approx((12 * 2 / 3 / 3) ** 0.5)
    assert high == pytest.approx((8 * 4) ** 0.5)  # all or nothing: mean (n - mean)
    for std in (1.6, low, high, 6.0):
        with pytest.raises(ValueError, match=r"routing.ffn_experts.std: got .*; allowed between 1.63 and 5.66"):
            beta_binomial(n=12, mean=8, std=std)


@pytest.mark.parametrize(("policy", "ffn", "mean", "n_values"), [
    ("skip", FfnExperts(), 8.0, 1), ("remap0", FfnExperts(), 8.0, 1), ("none", FfnExperts(), 12.0, 1),
    ("k8", FfnExperts(mean=5.0), 8.0, 1), ("skip", FfnExperts(mean=7.46), 7.46, 2),
    ("skip", FfnExperts(kind="beta_binomial", std=3.0), 8.0, 13),
    ("none", FfnExperts(kind="beta_binomial", std=3.0), 12.0, 1),
])  # fmt: skip
def test_the_policy_decides_how_many_ffn_experts_a_token_takes(policy, ffn, mean, n_values):
    pmf_K = ffn_expert_distribution(longcat_flash().moe, ffn, policy)
    assert len(pmf_K) == 13
    assert pmf_K @ np.arange(13) == pytest.approx(mean)
    assert np.count_nonzero(pmf_K) == n_values


def test_without_zero_experts_a_token_always_takes_k():
    pmf_K = ffn_expert_distribution(deepseek_v3().moe, FfnExperts(mean=3.0), "skip")
    assert pmf_K.tolist() == [0] * 8 + [1]


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.01, 2.0])
def test_the_power_law_has_its_density(alpha):
    """Compare the share of draws below the geometric middle with the integral of x^-alpha."""
    largest, n = 1e4, 40_000
    x = power_law(n, alpha, largest, np.random.default_rng(3))
    x = x / x.min()  # the least of 40,000 draws is close to 1
    middle = largest**0.5
    area = np.log if alpha == 1.0 else (lambda b: (b ** (1 - alpha) - 1) / (1 - alpha))
    expected = area(middle) / area(largest)
    sigma = (expected * (1 - expected) / n) ** 0.5
    assert np.mean(x < middle) == pytest.approx(expected, abs=5 * sigma + 1e-3)


@pytest.mark.parametrize("sigma", [0.3, 1.1])
def test_a_log_normal_law_has_its_spread(sigma):
    logs = np.log(lognormal(40_000, sigma, np.random.default_rng(3)))
    assert logs.std() == pytest.approx(sigma, rel=0.02)  # the standard error of a spread of so many is 0.4 %
    assert np.median(logs) == pytest.approx(logs.mean(), abs=0.02 * sigma)


def test_popularities_sum_to_one_and_depend_on_the_seed_alone():
    draws = [power_law(64, 1.2, 1e3, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert draws[0].sum() == pytest.approx(1.0)
    assert (draws[0] == draws[1]).all()
    assert (draws[0] != draws[2]).any()


def frequencies(token, expert, n_tokens):
    """Share of tokens that took each set of experts."""
    sets = [[] for _ in range(n_tokens)]
    for t, n in zip(token.tolist(), expert.tolist(), strict=True):
        sets[t].append(n)
    found = {}
    for chosen in sets:
        key = tuple(sorted(chosen))
        found[key] = found.get(key, 0) + 1
    return {key: count / n_tokens for key, count in found.items()}


@pytest.mark.parametrize("choose", [_choose_by_rejection, _choose_in_turn])
def test_both_samplers_follow_the_law_of_the_sets(choose):
    n_tokens, rng = 60_000, np.random.default_rng(7)
    k_T = rng.choice(4, size=n_tokens, p=PMF_K)
    found = frequencies(*choose(UNEVEN_N * 8, k_T, rng), n_tokens)
    for chosen, probability in laws(UNEVEN_N, PMF_K):
        sigma = (probability * (1 - probability) / n_tokens) ** 0.5
        assert found.get(chosen, 0.0) == pytest.approx(probability, abs=5 * sigma), chosen


@pytest.mark.parametrize("choose", [_choose_by_rejection, _choose_in_turn])
def test_experts_of_a_token_are_distinct_and_as_many_as_asked(choose):
    k_T = np.array([0, 3, 1, 0, 2])
    token, expert = choose(UNEVEN_N * 8, k_T, np.random.default_rng(0))
    assert np.bincount(token, minlength=5).tolist() == k_T.tolist()
    assert len(set(zip(token.tolist(), expert.tolist(), strict=True))) == 6
    assert (np.diff(token) >= 0).all()


def test_a_steep_popularity_is_sampled_by_its_law_too():
    """Rejection would fail nearly always here: one expert has nearly all of the weight."""
    steep_N = np.array([1.0, 1e-4, 1e-4, 1e-4, 1e-4])
    token, expert = sample_choices(steep_N / steep_N.sum(), np.eye(4)[3], 4_000, np.random.default_rng(5))
    include_N = np.bincount(expert, minlength=5) / 4_000
    expected_N = inclusion_probabilities(steep_N / steep_N.sum(), np.eye(4)[3])
    sigma_N = np.sqrt(expected_N * (1 - expected_N) / 4_000)
    assert (np.abs(include_N - expected_N) <= 5 * sigma_N + 1e-12).all()
    assert len(token) == 12_000


def test_no_token_no_choice():
    token, expert = sample_choices(UNEVEN_N, PMF_K, 0, np.random.default_rng(0))
    assert len(token) == len(expert) == 0
