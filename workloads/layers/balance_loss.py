"""The device-level load-balance loss.

B sequences (or 1 for a whole batch), S tokens of each, E = N + Z experts of the pool, K choices per token, D devices
that hold N / D routed experts each, J = D + 1 groups: the devices and all zero-computation experts.
"""

import torch
from torch import Tensor


def group_of_experts(n_routed_experts: int, n_zero_experts: int, n_devices: int) -> Tensor:
    """Return the group of each expert of the pool [E]: device 0 … D-1 in contiguous shares, D for zero experts."""
    if n_devices < 1 or n_routed_experts % n_devices:
        raise ValueError(f"n_devices: got {n_devices}; allowed a divisor of n_routed_experts={n_routed_experts}")
    device_N = torch.arange(n_devices).repeat_interleave(n_routed_experts // n_devices)
    return torch.cat([device_N, torch.full((n_zero_experts,), n_devices)])


def group_choices(ids_BSK: Tensor, group_E: Tensor, n_groups: int) -> Tensor:
    """Return the choices of each sequence that fall on each group [B, J], int64."""
    group_BX = group_E[ids_BSK].flatten(1)
    return torch.zeros(len(ids_BSK), n_groups, dtype=torch.int64).scatter_add(1, group_BX, torch.ones_like(group_BX))


def device_balance_loss(
    scores_BSE: Tensor, ids_BSK: Tensor, group_E: Tensor, *, n_devices: int, mean_ffn_experts: float
) -> Tensor:
    """Return sum over groups j of f_j P_j, mean over sequences; multiply by alpha (LongCat-Flash report, section 2.1).

    P_j = mean over tokens of the scores that group j has together; f_j = D / (K_e S) x choices of group j for a device,
    1 / ((K - K_e) S) x choices of zero-computation experts. Every f is 1 when tokens take K_e routed experts on
    average, spread evenly: the loss is then 1 and its gradient pushes no group. The report writes an indicator "token
    selects group"; it is counted once per choice here, as in DeepSeek-V3's loss, since only then is f_j = 1 at the
    target. Without zero-computation experts there are D groups. No gradient through f.
    """
    n_tokens, top_k = ids_BSK.shape[1:]
    n_groups = int(group_E.max()) + 1
    count_BJ = group_choices(ids_BSK, group_E, n_groups).to(scores_BSE.dtype)
    per_choice_J = scores_BSE.new_full((n_groups,), n_devices / (mean_ffn_experts * n_tokens))
    if n_groups > n_devices:
        if not mean_ffn_experts < top_k:
            raise ValueError(
                f"mean_ffn_experts: got {mean_ffn_experts:g}; allowed below top_k={top_k} with zero-computation experts"
            )
        per_choice_J[n_devices] = 1.0 / ((top_k - mean_ffn_experts) * n_tokens)
    mean_BE = scores_BSE.mean(dim=1)
    share_BJ = mean_BE.new_zeros(count_BJ.shape).index_add(1, group_E, mean_BE)
    return (count_BJ * per_choice_J * share_BJ).sum(dim=1).mean()
