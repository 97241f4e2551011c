"""The routed experts that one rank holds.

M rows, D hidden, F width of an expert, G experts held.
"""

import torch
from torch import Tensor, nn

from workloads.layers.checks import check_expert_parallel, check_hidden
from workloads.layers.grouped import grouped_ffn
from workloads.model import ModelSpec


class GroupedExperts(nn.Module):
    """E_i(x) = W_down,i (silu(W_gate,i x) * W_up,i x) for the experts of one of `n_ranks` ranks.

    Weights start uninitialised (`initialise`, or a state dict, fills them), so that a full-size rank is cheap to make.
    """

    def __init__(self, spec: ModelSpec, n_ranks: int = 1) -> None:
        super().__init__()
        check_expert_parallel(spec.moe.n_routed_experts, n_ranks)
        self.hidden, self.n_local = spec.hidden, spec.moe.n_routed_experts // n_ranks
        width = spec.moe.expert_ffn
        self.gate_up_GFD = nn.Parameter(torch.empty(self.n_local, 2 * width, spec.hidden))
        self.down_GDF = nn.Parameter(torch.empty(self.n_local, spec.hidden, width))

    def forward(self, rows_MD: Tensor, load_G: Tensor) -> Tensor:
        """Return [M, D] for `rows_MD` sorted by expert, `load_G` rows for each."""
        check_hidden("expert rows", rows_MD, self.gate_up_GFD, self.hidden)
        if load_G.shape != (self.n_local,):
            raise ValueError(f"load_G: got shape {tuple(load_G.shape)}; allowed ({self.n_local},), one per expert held")
        return grouped_ffn(rows_MD, load_G, self.gate_up_GFD, self.down_GDF)
