"""Cases of what moves the rows of an MoE: sorting, counting, gathering, regrouping, adding up, identity experts.

T tokens, D hidden, K choices per token, M rows, R ranks, G experts held by a rank.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from validation.measure.case import Case, Lab
from validation.measure.timing import Work
from workloads.layers.permute import Permutation, by_local_expert, identity_weights, sort_by_expert, unpermute
from workloads.layers.router import Routing

N_SOURCES = 8  # ranks whose rows one rank regroups: a node


def moe_cases(lab: Lab, n_tokens: int) -> Iterator[Case]:
    """Yield every step of an MoE's data movement for `n_tokens` routed by the model's router.

    `moved_bytes` counts the expected rows under random choice, each read and written; None where nobody counted.
    """
    hidden, moe = lab.spec.hidden, lab.spec.moe
    pool = moe.n_routed_experts + moe.n_zero_experts
    row_bytes = hidden * lab.element_bytes
    rows_bytes = n_tokens * moe.top_k * moe.n_routed_experts / pool * row_bytes
    routed, shape = _Routed(lab, n_tokens), {"tokens": n_tokens, "hidden": hidden, "top_k": moe.top_k}
    steps: dict[str, tuple[Callable[[], Work], float | None]] = {
        "sort": (routed.sort, n_tokens * moe.top_k * float(torch.long.itemsize)),
        "permute": (routed.permute, 2.0 * rows_bytes),
        "regroup": (routed.regroup, 2.0 * rows_bytes),
        "ungroup": (routed.ungroup, 2.0 * rows_bytes),
        "unpermute": (routed.unpermute, rows_bytes + n_tokens * row_bytes),
        "identity": (routed.identity, 3.0 * n_tokens * row_bytes),
    }
    for step, (make, moved_bytes) in steps.items():
        yield Case(
            kernel="permute", op=f"moe.{step}", dtype=lab.dtype, make=make, moved_bytes=moved_bytes,
            shape=shape | ({"sources": N_SOURCES} if step in {"regroup", "ungroup"} else {}),
        )  # fmt: skip


def counting_case(lab: Lab) -> Case:
    """Return the case of the rows to and from each rank, which the host waits for."""
    n_experts = lab.spec.moe.n_routed_experts

    def make() -> Work:
        load_N = torch.ones(n_experts, dtype=torch.long, device=lab.device)

        def count() -> tuple[list[int], list[int]]:
            return load_N.view(1, -1).sum(1).tolist(), load_N[None].sum(1).tolist()

        return count

    return Case(kernel="permute", op="moe.count", shape={"experts": n_experts}, dtype="int64", make=make)


@dataclass(frozen=True)
class _Routed:
    """`n_tokens` random tokens as the router distributes them; each method prepares one step."""

    lab: Lab
    n_tokens: int

    def sort(self) -> Work:
        return partial(sort_by_expert, self._routing(), self.lab.spec.moe.n_routed_experts, "skip")

    def permute(self) -> Work:
        x_TD, token_M = self._tokens(), self._order().token_M
        return lambda: x_TD[token_M]

    def regroup(self) -> Work:
        rows_MD, load_RG = self._rows(), self._load_RG()
        return lambda: (rows_MD[by_local_expert(load_RG, len(rows_MD))], load_RG.sum(0))

    def ungroup(self) -> Work:
        rows_MD = self._rows()
        grouped_M = by_local_expert(self._load_RG(), len(rows_MD))
        return lambda: rows_MD[grouped_M.argsort()]

    def unpermute(self) -> Work:
        return partial(unpermute, self._rows(), self._order(), self.n_tokens)

    def identity(self) -> Work:
        x_TD, routing, n_experts = self._tokens(), self._routing(), self.lab.spec.moe.n_routed_experts
        routed_TD = x_TD.to(routing.weights_TK.dtype)
        return lambda: (routed_TD + identity_weights(routing, n_experts)[:, None] * x_TD).to(x_TD.dtype)

    def _tokens(self) -> Tensor:
        return self.lab.random(self.n_tokens, self.lab.spec.hidden)

    def _routing(self) -> Routing:
        routing: Routing = self.lab.router(self._tokens())
        return routing

    def _order(self) -> Permutation:
        return sort_by_expert(self._routing(), self.lab.spec.moe.n_routed_experts, "skip")

    def _rows(self) -> Tensor:
        return self.lab.random(len(self._order().token_M), self.lab.spec.hidden)

    def _load_RG(self) -> Tensor:
        """The rows of each expert as they come from the ranks, a rank's share of each."""
        load_G = self._order().load_N
        share_R1 = torch.arange(N_SOURCES, device=load_G.device)[:, None]
        return (load_G + share_R1) // N_SOURCES
