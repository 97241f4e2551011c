"""The router: which experts a token takes, and with what weights.

T tokens, D hidden, N routed experts, Z zero-computation experts, E = N + Z, K choices per token.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from workloads.layers.checks import check_hidden, check_pool
from workloads.layers.settings import LayerSettings
from workloads.model import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Routing:
    """What the router decided: `scores_TE` softmax over the pool, `ids_TK` chosen experts (N … E-1 are zero-computation
    experts), `weights_TK` their gate weights. Scores and weights carry gradients."""

    scores_TE: Tensor
    ids_TK: Tensor
    weights_TK: Tensor


class Router(nn.Module):
    """g_i = gamma softmax(W x)_i for the K experts with the largest softmax(W x)_i + b_i, else 0 (report, 2.1).

    At least float32 throughout; no renormalisation; the bias b steers selection only and takes no gradient.
    """

    bias_E: Tensor

    def __init__(self, spec: ModelSpec, settings: LayerSettings) -> None:
        super().__init__()
        moe = spec.moe
        n_pool = moe.n_routed_experts + moe.n_zero_experts
        self.n_routed_experts = moe.n_routed_experts
        self.n_selectable = moe.n_routed_experts if settings.zero_experts == "none" else n_pool
        check_pool(self.n_selectable, moe.top_k)
        self.hidden, self.top_k, self.scaling = spec.hidden, moe.top_k, settings.routed_scaling
        self.classifier = nn.Linear(spec.hidden, n_pool, bias=False)
        self.register_buffer("bias_E", torch.zeros(n_pool))

    def forward(self, x_TD: Tensor) -> Routing:
        """Return the routing of tokens `x_TD`."""
        check_hidden("router input", x_TD, x_TD, self.hidden)
        wide = torch.promote_types(x_TD.dtype, torch.float32)
        scores_TE = functional.linear(x_TD.to(wide), self.classifier.weight.to(wide)).softmax(dim=-1)
        ids_TK = self.select(scores_TE)
        return Routing(scores_TE=scores_TE, ids_TK=ids_TK, weights_TK=self.scaling * scores_TE.gather(1, ids_TK))

    @torch.no_grad()
    def select(self, scores_TE: Tensor) -> Tensor:
        """Return the ids [T, K] of the largest biased scores among the experts that can be chosen."""
        biased_TE = (scores_TE + self.bias_E)[:, : self.n_selectable]
        return biased_TE.topk(self.top_k, dim=-1, sorted=False).indices
