"""The expert-bias controller: how many routed (FFN) experts a token takes on average, steered by the router's bias.

N routed experts, Z zero-computation experts, E = N + Z the pool, T tokens of the global batch, K choices per token,
K_e the mean of routed experts per token that is aimed at.
"""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from workloads.layers.router import Router


@dataclass(frozen=True, kw_only=True)
class ControlLaw:
    """Gains of the controller, in units of routing probability per unit of error.

    `step_size`: mu of the report (its value is not published), the integral gain per batch. `decay_batches`: the step
    size of batch t is mu / (1 + t / decay_batches), the slowest power that still settles (Robbins and Monro, Ann. Math.
    Stat. 22, 1951: steps that sum to infinity, squares that do not); infinity keeps it constant. `proportional`,
    `derivative`: gains on the error itself and on its change since the batch before; the printed law has neither.
    """

    step_size: float
    decay_batches: float = float("inf")
    proportional: float = 0.0
    derivative: float = 0.0

    def __post_init__(self) -> None:
        if not self.step_size >= 0.0 or not self.decay_batches > 0.0:
            raise ValueError(
                f"step_size, decay_batches: got {self.step_size:g}, {self.decay_batches:g}; allowed >= 0, > 0"
            )

    def step_size_at(self, batch: int) -> float:
        """Return the step size of batch number `batch`, from 0."""
        return self.step_size / (1.0 + batch / self.decay_batches)


def choice_counts(ids_TK: Tensor, n_pool: int) -> Tensor:
    """Return how many tokens of `ids_TK` chose each expert of the pool [E], int64."""
    return torch.bincount(ids_TK.flatten(), minlength=n_pool)


def add_over_ranks(counts_E: Tensor) -> Tensor:
    """Return `counts_E` added up over all processes (T_i, T_all: of the global batch); itself where there is one."""
    if dist.is_available() and dist.is_initialized():
        counts_E = counts_E.clone()
        dist.all_reduce(counts_E)
    return counts_E


def budget_error(counts_E: Tensor, n_routed_experts: int, top_k: int, mean_ffn_experts: float) -> Tensor:
    """Return K_e / (K N) - T_i / (K T_all) of each routed expert [N], float64, from choices `counts_E` of the pool.

    LongCat-Flash report, section 2.1; T_all = sum of counts / K. Positive: the expert was chosen too rarely.
    """
    n_choices = counts_E.sum().double()
    share_N = counts_E[:n_routed_experts].double() / n_choices
    return mean_ffn_experts / (top_k * n_routed_experts) - share_N


class BudgetController(nn.Module):
    """Sets a router's bias after each batch: b_i = sum over batches of mu e_i, plus P and D terms where asked for.

    e is `budget_error`. Zero-computation experts keep the bias that they have. The state (buffers: integral [N] and
    last error [N] in float64, number of batches) belongs into the checkpoint.
    """

    integral_N: Tensor
    last_error_N: Tensor
    n_batches: Tensor

    def __init__(self, router: Router, law: ControlLaw, mean_ffn_experts: float) -> None:
        super().__init__()
        n = router.n_routed_experts
        if not 0.0 < mean_ffn_experts <= min(router.top_k, n):
            raise ValueError(f"mean_ffn_experts: got {mean_ffn_experts:g}; allowed above 0, to {min(router.top_k, n)}")
        self.law, self.mean_ffn_experts = law, mean_ffn_experts
        self.register_buffer("integral_N", router.bias_E[:n].double().clone())
        self.register_buffer("last_error_N", torch.zeros(n, dtype=torch.float64))
        self.register_buffer("n_batches", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, router: Router, counts_E: Tensor) -> None:
        """Set the bias of `router` after a batch whose choices, on all ranks together, are `counts_E`."""
        n, law, batch = router.n_routed_experts, self.law, int(self.n_batches)
        error_N = budget_error(counts_E, n, router.top_k, self.mean_ffn_experts)
        change_N = error_N - self.last_error_N if batch else torch.zeros_like(error_N)
        self.integral_N += law.step_size_at(batch) * error_N
        router.bias_E[:n] = self.integral_N + law.proportional * error_N + law.derivative * change_N
        self.last_error_N.copy_(error_N)
        self.n_batches += 1
