"""Who routes how much to whom: popularity of experts, FFN experts per token, exact expectations and seeded samples.

A token takes k FFN experts; its set of k distinct experts S has probability proportional to the product of the
popularities in S (independent picks, conditioned on being distinct). Expectations follow from elementary symmetric
polynomials and are exact; joint counts (does a token touch a group of ranks at all?) are exact too.

N routed experts, K top-k, T tokens, F origins, G groups of experts.
"""

from functools import lru_cache
from math import comb, exp, lgamma

import numpy as np
from numpy.typing import NDArray

from workloads.batch import FfnExperts, ZeroPolicy
from workloads.model import MoeSpec
from workloads.ops import FloatArray, IntArray

_REMEMBERED = 512  # laws of as many layers as a sweep of layouts comes back to; 4 kB each


def power_law(n_experts: int, alpha: float, largest: float, rng: np.random.Generator) -> FloatArray:
    """Return popularities drawn from the density x^-alpha on [1, largest], normalised to sum 1.

    The rule that aiconfigurator's MoE tables use (alpha 1.01 matched DeepSeek-V3, 1.2 Qwen3-235B).
    """
    u_N = rng.random(n_experts)
    tail = 1.0 - alpha
    x_N = largest**u_N if tail == 0.0 else (1.0 + u_N * (largest**tail - 1.0)) ** (1.0 / tail)
    return np.asarray(x_N / x_N.sum())


def lognormal(n_experts: int, sigma: float, rng: np.random.Generator) -> FloatArray:
    """Return popularities exp(sigma z) with z standard normal, normalised to sum 1.

    With sigma 1.1 DeepSeek-R1's router spreads its experts' loads as measured (TensorRT-LLM tech blog 4, table 1).
    """
    x_N = np.exp(sigma * rng.standard_normal(n_experts))
    return np.asarray(x_N / x_N.sum())


def ffn_expert_distribution(moe: MoeSpec, ffn: FfnExperts, policy: ZeroPolicy) -> FloatArray:
    """Return P(k) for k = 0..K, the number of FFN experts that a token takes.

    `none`: always K. `k8`: K_e, fixed. Otherwise fixed at the mean (two neighbouring integers where it is none), or
    beta-binomial with the given mean and standard deviation; without zero-computation experts always K.
    """
    top_k = moe.top_k
    if policy == "none" or moe.n_zero_experts == 0:
        return _fixed(float(top_k), top_k)
    mean = ffn.mean or moe.mean_ffn_experts
    if policy == "k8":
        return _fixed(moe.mean_ffn_experts, top_k)
    if ffn.kind == "fixed":
        return _fixed(mean, top_k)
    return beta_binomial(n=top_k, mean=mean, std=ffn.std)


def _fixed(mean: float, n: int) -> FloatArray:
    pmf = np.zeros(n + 1)
    low = min(int(mean), n - 1)
    pmf[low] = 1.0 - (mean - low)
    pmf[low + 1] = mean - low
    return pmf


def beta_binomial_std_range(*, n: int, mean: float) -> tuple[float, float]:
    """Return the standard deviations that a beta-binomial on 0..n with this mean can have (both ends excluded)."""
    binomial_variance = mean * (1.0 - mean / n)
    return binomial_variance**0.5, (binomial_variance * n) ** 0.5


def beta_binomial(*, n: int, mean: float, std: float) -> FloatArray:
    """Return the beta-binomial pmf on 0..n with this mean and standard deviation.

    With p = mean/n and intra-class correlation rho = (std²/(n p (1-p)) - 1)/(n - 1), a = p (1-rho)/rho and
    b = (1-p)(1-rho)/rho. Raises ValueError outside `beta_binomial_std_range`.
    """
    low, high = beta_binomial_std_range(n=n, mean=mean)
    if not low < std < high:
        msg = f"routing.ffn_experts.std: got {std:g}; allowed between {low:.3g} and {high:.3g} at mean {mean:g} of {n}"
        raise ValueError(msg)
    p = mean / n
    rho = (std**2 / (n * p * (1.0 - p)) - 1.0) / (n - 1)
    a, b = p * (1.0 - rho) / rho, (1.0 - p) * (1.0 - rho) / rho
    log_norm = lgamma(a) + lgamma(b) - lgamma(a + b)
    return np.array(
        [comb(n, k) * exp(lgamma(k + a) + lgamma(n - k + b) - lgamma(n + a + b) - log_norm) for k in range(n + 1)]
    )


def symmetric_polynomials(weights_N: FloatArray, order: int) -> FloatArray:
    """Return e_0..e_order of the weights: e_j sums the products of all j-subsets."""
    e = np.zeros(order + 1)
    e[0] = 1.0
    for weight in weights_N.tolist():
        e[1:] += weight * e[:-1]
    return e


def inclusion_probabilities(popularity_N: FloatArray, pmf_K: FloatArray) -> FloatArray:
    """Return the probability that a token takes expert n, for each n; they sum to the mean of `pmf_K`."""
    if np.ptp(popularity_N) == 0.0:
        mean = float(np.dot(np.arange(len(pmf_K)), pmf_K))
        return np.full(len(popularity_N), mean / len(popularity_N))
    return _uneven_inclusion(popularity_N.tobytes(), pmf_K.tobytes()).copy()


@lru_cache(maxsize=_REMEMBERED)
def _uneven_inclusion(popularity: bytes, pmf: bytes) -> FloatArray:
    popularity_N, pmf_K = np.frombuffer(popularity), np.frombuffer(pmf)
    weights_N, order = popularity_N * len(popularity_N), len(pmf_K) - 1
    all_K, possible_K = symmetric_polynomials(weights_N, order), _possible(pmf_K)
    without_NK = _outside_polynomials(weights_N[:, None], order)
    included_NK = weights_N[:, None] * without_NK[:, :-1] / all_K[1:]
    return np.asarray(included_NK[:, possible_K[1:]] @ pmf_K[1:][possible_K[1:]])


def _possible(pmf_K: FloatArray) -> NDArray[np.bool_]:
    return pmf_K > 0.0


def touch_probabilities(popularity_N: FloatArray, pmf_K: FloatArray, group_N: IntArray, n_groups: int) -> FloatArray:
    """Return, for each group of experts, the probability that a token takes at least one expert in it.

    1 - e_k(outside)/e_k(all), mixed over k: the joint count that deduplicated all-to-alls need.
    """
    groups = np.asarray(group_N, dtype=np.int64).tobytes()
    return _touched_groups(popularity_N.tobytes(), pmf_K.tobytes(), groups, n_groups).copy()


@lru_cache(maxsize=_REMEMBERED)
def _touched_groups(popularity: bytes, pmf: bytes, groups: bytes, n_groups: int) -> FloatArray:
    popularity_N, pmf_K, group_N = np.frombuffer(popularity), np.frombuffer(pmf), np.frombuffer(groups, dtype=np.int64)
    weights_N, order = popularity_N * len(popularity_N), len(pmf_K) - 1
    weights_GX = np.zeros((n_groups, int(np.bincount(group_N, minlength=n_groups).max())))
    for g in range(n_groups):
        members = weights_N[group_N == g]
        weights_GX[g, : len(members)] = members
    possible_K = _possible(pmf_K)
    miss_GK = _outside_polynomials(weights_GX, order) / symmetric_polynomials(weights_N, order)
    return np.asarray((1.0 - miss_GK[:, possible_K]) @ pmf_K[possible_K])


def split_touch_probabilities(
    popularity_N: FloatArray, pmf_K: FloatArray, share_FNG: FloatArray, *, always_first: bool = False
) -> FloatArray:
    """Return, for each origin and group, the probability that a token's experts touch the group, (F, G), when expert n
    serves a token from it with probability share_FNG[f, n, g], each expert by itself.

    1 - e_k(w (1 - share))/e_k(w), mixed over k. `always_first`: a token with fewer than K experts takes expert 0 too.
    """
    weights_N, order = popularity_N * len(popularity_N), len(pmf_K) - 1
    miss_FNG, all_K = 1.0 - share_FNG, symmetric_polynomials(weights_N, order)
    possible_K = _possible(pmf_K)
    chance_K = pmf_K[possible_K] / all_K[possible_K]
    miss_FGK = _batched_polynomials(weights_N, miss_FNG, order)[:, :, possible_K] * chance_K
    if not always_first:
        return np.asarray(1.0 - miss_FGK.sum(axis=2))
    others_FNG = miss_FNG.copy()
    others_FNG[:, 0] = 1.0  # expert 0 misses the group once, chosen or not
    others_FGK = _batched_polynomials(weights_N, others_FNG, order)[:, :, possible_K] * chance_K
    fewer_K = np.flatnonzero(possible_K) < order
    return np.asarray(
        1.0 - miss_FGK[:, :, ~fewer_K].sum(axis=2) - miss_FNG[:, 0] * others_FGK[:, :, fewer_K].sum(axis=2)
    )


def _batched_polynomials(weights_N: FloatArray, factor_FNG: FloatArray, order: int) -> FloatArray:
    """Symmetric polynomials of the weights times each origin's and group's factors, (F, G, order + 1)."""
    e_KFG = np.zeros((order + 1, factor_FNG.shape[0], factor_FNG.shape[2]))
    e_KFG[0] = 1.0
    for n, weight in enumerate(weights_N.tolist()):  # K first: whole planes are added, three times as fast
        e_KFG[1:] += weight * factor_FNG[:, n] * e_KFG[:-1]
    return np.moveaxis(e_KFG, 0, 2)


def _outside_polynomials(weights_GX: FloatArray, order: int) -> FloatArray:
    """Symmetric polynomials of all weights outside each group, (G, order + 1): products of the groups before and
    after, so that nothing cancels."""
    n_groups = len(weights_GX)
    inside_GK = np.zeros((n_groups, order + 1))
    inside_GK[:, 0] = 1.0
    for weight_G in weights_GX.T:
        inside_GK[:, 1:] += weight_G[:, None] * inside_GK[:, :-1]
    before, after = np.zeros((n_groups + 1, order + 1)), np.zeros((n_groups + 1, order + 1))
    before[0, 0] = after[n_groups, 0] = 1.0
    for g in range(n_groups):
        before[g + 1] = np.convolve(before[g], inside_GK[g])[: order + 1]
    for g in range(n_groups - 1, -1, -1):
        after[g] = np.convolve(after[g + 1], inside_GK[g])[: order + 1]
    return np.stack([np.convolve(before[g], after[g + 1])[: order + 1] for g in range(n_groups)])


def sample_choices(
    popularity_N: FloatArray, pmf_K: FloatArray, n_tokens: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Draw the FFN experts of `n_tokens` tokens: (token index, expert) of every choice, in token order.

    Whole tokens are redrawn until their experts are distinct, which is exactly the law above; where that would
    reject nearly always, experts are decided one after the other from the symmetric polynomials: the same law.
    """
    return choose_given(popularity_N, rng.choice(len(pmf_K), size=n_tokens, p=pmf_K), rng)


def choose_given(popularity_N: FloatArray, k_T: IntArray, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Draw `k_T` experts for each token: (token index, expert) of every choice, in token order."""
    weights_N = popularity_N * len(popularity_N)
    top = int(k_T.max(initial=0))
    e = symmetric_polynomials(popularity_N, top)
    acceptance = e[top] * float(np.prod(np.arange(1, top + 1)))
    choose = _choose_by_rejection if acceptance > 0.05 else _choose_in_turn
    return choose(weights_N, k_T, rng)


def _choose_by_rejection(weights_N: FloatArray, k_T: IntArray, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    n, top = len(weights_N), int(k_T.max(initial=0))
    uniform = bool(np.ptp(weights_N) == 0.0)
    keep_N, other_N = _alias_table(weights_N)
    choices_TK = np.empty((len(k_T), top), dtype=np.int64)
    unused_K = n + np.arange(top)  # distinct from one another and from every expert
    open_T = np.arange(len(k_T))
    while len(open_T):
        shape = (len(open_T), top)
        drawn = rng.integers(n, size=shape) if uniform else _drawn(keep_N, other_N, rng.random(shape))
        drawn = np.where(np.arange(top) < k_T[open_T, None], drawn, unused_K)
        choices_TK[open_T] = drawn
        ordered = np.sort(drawn, axis=1)
        open_T = open_T[(ordered[:, 1:] == ordered[:, :-1]).any(axis=1)]
    taken = choices_TK < n
    return np.nonzero(taken)[0], choices_TK[taken]


def _alias_table(weights_N: FloatArray) -> tuple[FloatArray, IntArray]:
    """Walker's table: an even draw of n keeps its expert with probability `keep`, else takes the `other` (Vose 1991,
    IEEE Trans. Softw. Eng. 17): two look-ups per draw, however uneven the weights."""
    n = len(weights_N)
    keep, other = (weights_N * (n / weights_N.sum())).tolist(), list(range(n))
    small, large = [i for i in range(n) if keep[i] < 1.0], [i for i in range(n) if keep[i] >= 1.0]
    while small and large:
        light, heavy = small.pop(), large[-1]
        other[light] = heavy
        keep[heavy] -= 1.0 - keep[light]
        if keep[heavy] < 1.0:
            small.append(large.pop())
    for left in (*small, *large):  # by rounding alone
        keep[left] = 1.0
    return np.array(keep), np.array(other)


def _drawn(keep_N: FloatArray, other_N: IntArray, uniform: FloatArray) -> IntArray:
    """The experts that uniform numbers in [0, 1) stand for."""
    scaled = uniform * len(keep_N)
    first = scaled.astype(np.int64)
    return np.where(scaled - first < keep_N[first], first, other_N[first])


def _choose_in_turn(weights_N: FloatArray, k_T: IntArray, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    n, top = len(weights_N), int(k_T.max(initial=0))
    tail = np.zeros((n + 1, top + 1))  # symmetric polynomials of experts i..n-1
    tail[n, 0] = 1.0
    for i in range(n - 1, -1, -1):
        tail[i] = tail[i + 1]
        tail[i, 1:] += weights_N[i] * tail[i + 1, :-1]
    needed_T = k_T.copy()
    tokens, experts = [], []
    for i in range(n):
        take_K = np.zeros(top + 1)
        positive = tail[i, 1:] > 0.0
        take_K[1:][positive] = weights_N[i] * tail[i + 1, :-1][positive] / tail[i, 1:][positive]
        taking = np.nonzero(rng.random(len(k_T)) < take_K[needed_T])[0]
        needed_T[taking] -= 1
        tokens.append(taking)
        experts.append(np.full(len(taking), i))
    token, expert = np.concatenate(tokens), np.concatenate(experts)
    order = np.argsort(token, kind="stable")
    return token[order], expert[order]
