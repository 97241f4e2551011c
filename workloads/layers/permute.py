"""Choices in order of their experts: which row of the dispatch is which token's.

T tokens, D hidden, N routed experts, K choices per token, J = T * K choices, M rows, R ranks,
G experts held by a rank.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from workloads.layers.router import Routing
from workloads.layers.settings import Policy


@dataclass(frozen=True, kw_only=True)
class Permutation:
    """Rows sorted by expert: `token_M` whose row it is, `weight_M` its gate weight, `load_N` rows of each expert."""

    token_M: Tensor
    weight_M: Tensor
    load_N: Tensor


def sort_by_expert(routing: Routing, n_routed_experts: int, policy: Policy) -> Permutation:
    """Return the rows of `routing` that need an expert, sorted by expert and then by token.

    Zero-computation choices get no row, or under `remap0` a row of weight 0 for expert 0. One host synchronisation on
    a GPU: the number of rows.
    """
    top_k = routing.ids_TK.shape[1]
    expert_J, weight_J = routing.ids_TK.flatten(), routing.weights_TK.flatten()
    if policy == "remap0":
        is_zero_J = expert_J >= n_routed_experts
        expert_J, weight_J = expert_J.masked_fill(is_zero_J, 0), weight_J.masked_fill(is_zero_J, 0.0)
    load_N = torch.bincount(expert_J, minlength=n_routed_experts)[:n_routed_experts]
    choice_M = expert_J.argsort(stable=True)[: int(load_N.sum())]
    return Permutation(token_M=choice_M // top_k, weight_M=weight_J[choice_M], load_N=load_N)


def unpermute(rows_MD: Tensor, order: Permutation, n_tokens: int) -> Tensor:
    """Return sum over a token's rows of weight * row [T, D], in the type of the weights (at least float32)."""
    weighted_MD = rows_MD * order.weight_M[:, None]
    return weighted_MD.new_zeros(n_tokens, rows_MD.shape[1]).index_add(0, order.token_M, weighted_MD)


def identity_weights(routing: Routing, n_routed_experts: int) -> Tensor:
    """Return the summed gate weight of each token's zero-computation experts [T]: what its own state counts for."""
    return (routing.weights_TK * (routing.ids_TK >= n_routed_experts)).sum(dim=-1)


def by_local_expert(load_RG: Tensor, n_rows: int) -> Tensor:
    """Return the order [M] that takes rows from (source rank, local expert) to (local expert, source rank)."""
    n_ranks, n_local = load_RG.shape
    expert_RG = torch.arange(n_local, device=load_RG.device).expand(n_ranks, n_local)
    return expert_RG.flatten().repeat_interleave(load_RG.flatten(), output_size=n_rows).argsort(stable=True)
