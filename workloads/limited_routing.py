"""Group-limited routing: the experts of a token lie in at most L of the G groups that the router sorts experts into.

DeepSeek-V3's router (arXiv 2412.19437, section 2.1.2) takes the 4 of 8 groups with the highest sums of their two best
scores, then the best 8 experts in them. Here the law of `workloads.routing` holds, given that the set touches at most L
groups: exact in its own terms, and within 2 % of that router, fed with independent scores, in the ranks and nodes that
a token touches (a test says so). Experts n with equal n // (N / G) make a group.

N routed experts, G groups, L groups that a token may touch, K top-k, T tokens, F origins, X sets of weights.
"""

import numpy as np

from workloads.model import MoeSpec
from workloads.ops import FloatArray, IntArray
from workloads.routing import choose_given, inclusion_probabilities, sample_choices


def included(moe: MoeSpec, popularity_N: FloatArray, pmf_K: FloatArray) -> FloatArray:
    """Return the probability that a token takes expert n, for each n, whether or not its groups are limited."""
    if not moe.group_limited or np.ptp(popularity_N) == 0.0:
        return inclusion_probabilities(popularity_N, pmf_K)
    without_NN = 1.0 - np.eye(len(popularity_N))
    return 1.0 - _missed(moe, popularity_N, pmf_K, without_NN)


def limited_touch(moe: MoeSpec, popularity_N: FloatArray, pmf_K: FloatArray, share_FNX: FloatArray) -> FloatArray:
    """Return, for each origin and place, the probability that a token's experts touch the place, (F, X), when expert n
    serves a token from it with probability share_FNX[f, n, x], each expert by itself."""
    n_origins, n_experts, n_places = share_FNX.shape
    kept_XN = np.moveaxis(1.0 - share_FNX, 1, 2).reshape(-1, n_experts)
    return 1.0 - _missed(moe, popularity_N, pmf_K, kept_XN).reshape(n_origins, n_places)


def _missed(moe: MoeSpec, popularity_N: FloatArray, pmf_K: FloatArray, kept_XN: FloatArray) -> FloatArray:
    """Probability that all experts of a token are kept, when expert n is with probability kept_XN[x, n]."""
    weights_N, order = popularity_N * len(popularity_N), len(pmf_K) - 1
    all_K = limited_polynomials(moe, weights_N, np.ones((1, len(weights_N))), order)[0]
    possible_K = pmf_K > 0.0
    kept_XK = limited_polynomials(moe, weights_N, kept_XN, order)
    return np.asarray((kept_XK[:, possible_K] / all_K[possible_K]) @ pmf_K[possible_K])


def limited_polynomials(moe: MoeSpec, weights_N: FloatArray, kept_XN: FloatArray, order: int) -> FloatArray:
    """Return e_0..e_order of the weights times each row of factors, (X, order + 1), over the sets that touch at most L
    groups: sums of the coefficients of y^0..y^L in the product over groups of 1 + y (e(group) - 1)."""
    inside_KXG = _inside_groups(moe, weights_N * kept_XN, order)
    sets_LKX = np.zeros((moe.n_limited_groups + 1, order + 1, len(kept_XN)))
    sets_LKX[0, 0] = 1.0
    for g in range(moe.n_expert_groups):
        fewer_LKX = sets_LKX[:-1].copy()
        for taken in range(1, order + 1):
            sets_LKX[1:, taken:] += fewer_LKX[:, : order + 1 - taken] * inside_KXG[taken, :, g]
    return np.asarray(sets_LKX.sum(axis=0).T)


def _inside_groups(moe: MoeSpec, weights_XN: FloatArray, order: int) -> FloatArray:
    """Symmetric polynomials of the weights inside each group, (order + 1, X, G)."""
    weights_XGS = weights_XN.reshape(len(weights_XN), moe.n_expert_groups, -1)
    inside_KXG = np.zeros((order + 1, *weights_XGS.shape[:2]))
    inside_KXG[0] = 1.0
    for member in range(weights_XGS.shape[2]):
        inside_KXG[1:] += weights_XGS[:, :, member] * inside_KXG[:-1]
    return inside_KXG


def sample_within_limits(
    moe: MoeSpec, popularity_N: FloatArray, pmf_K: FloatArray, n_tokens: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Draw the FFN experts of `n_tokens` tokens: (token index, expert) of every choice, in token order.

    How many experts each group gives is decided group by group, then which ones: the law above exactly.
    """
    if not moe.group_limited:
        return sample_choices(popularity_N, pmf_K, n_tokens, rng)
    order, size = len(pmf_K) - 1, len(popularity_N) // moe.n_expert_groups
    weights_N = popularity_N * len(popularity_N)
    inside_KG = _inside_groups(moe, weights_N[None], order)[:, 0]
    left_T = rng.choice(order + 1, size=n_tokens, p=pmf_K)
    groups_T = np.full(n_tokens, moe.n_limited_groups)
    tokens, experts = [], []
    tail_GLK = _tails(moe, inside_KG)
    for g in range(moe.n_expert_groups):
        cumulated_LKJ = _chances(inside_KG[:, g], tail_GLK[g + 1]).cumsum(axis=2)
        chance_TJ = cumulated_LKJ[groups_T, left_T]
        taken_T = (rng.random(n_tokens)[:, None] * chance_TJ[:, -1:] >= chance_TJ).sum(axis=1)
        token, member = choose_given(popularity_N[g * size : (g + 1) * size], taken_T, rng)
        tokens.append(token)
        experts.append(g * size + member)
        left_T, groups_T = left_T - taken_T, groups_T - (taken_T > 0)
    token, expert = np.concatenate(tokens), np.concatenate(experts)
    in_order = np.argsort(token, kind="stable")
    return token[in_order], expert[in_order]


def _tails(moe: MoeSpec, inside_KG: FloatArray) -> FloatArray:
    """Weights of all ways to take K more experts from groups g.. in at most L more groups, (G + 1, L + 1, K + 1)."""
    order, n_groups = len(inside_KG) - 1, moe.n_expert_groups
    tail_GLK = np.zeros((n_groups + 1, moe.n_limited_groups + 1, order + 1))
    tail_GLK[n_groups, :, 0] = 1.0
    for g in range(n_groups - 1, -1, -1):
        tail_GLK[g] = _chances(inside_KG[:, g], tail_GLK[g + 1]).sum(axis=2)
    return tail_GLK


def _chances(inside_K: FloatArray, tail_LK: FloatArray) -> FloatArray:
    """Weight of taking J of the K experts that are wanted from a group, L groups being free, (L + 1, K + 1, J + 1)."""
    order = len(inside_K) - 1
    chance_LKJ = np.zeros((*tail_LK.shape, order + 1))
    chance_LKJ[:, :, 0] = tail_LK
    for taken in range(1, order + 1):
        chance_LKJ[1:, taken:, taken] = inside_K[taken] * tail_LK[:-1, : order + 1 - taken]
    return chance_LKJ
