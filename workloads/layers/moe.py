"""The mixture of experts with zero-computation experts, in the three steps that a schedule can set apart.

T tokens, D hidden, N routed experts, R ranks, G experts held by a rank, M rows sent, M' rows received.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from workloads.layers.exchange import Exchange, Flight, LocalExchange
from workloads.layers.experts import GroupedExperts
from workloads.layers.lane import used_here
from workloads.layers.permute import Permutation, by_local_expert, identity_weights, sort_by_expert, unpermute
from workloads.layers.router import Router, Routing
from workloads.layers.settings import LayerSettings
from workloads.model import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Dispatched:
    """Tokens routed, rows on their way to the experts; `load_RG` rows from each rank for each expert held here."""

    x_TD: Tensor
    routing: Routing
    order: Permutation
    load_RG: Tensor
    sent_R: list[int]
    received_R: list[int]
    flight: Flight


@dataclass(frozen=True, kw_only=True)
class Computed:
    """Expert outputs on their way back to their tokens."""

    dispatched: Dispatched
    flight: Flight


class MoE(nn.Module):
    """MoE(x) = sum over chosen i of g_i E_i(x), with E_i(x) = x for zero-computation experts (report, 2.1).

    The gate weights, gamma included, are applied where the token lives: rows travel unweighted.
    """

    def __init__(self, spec: ModelSpec, settings: LayerSettings, exchange: Exchange | None = None) -> None:
        super().__init__()
        self.exchange = exchange or LocalExchange()
        self.n_routed_experts, self.policy = spec.moe.n_routed_experts, settings.zero_experts
        self.router = Router(spec, settings)
        self.experts = GroupedExperts(spec, self.exchange.n_ranks)

    def forward(self, x_BSD: Tensor) -> Tensor:
        """Return [..., D] for `x_BSD` [..., D]."""
        return self.collect(self.compute(self.dispatch(x_BSD.flatten(0, -2)))).view_as(x_BSD)

    def dispatch(self, x_TD: Tensor) -> Dispatched:
        """Route `x_TD` and start the dispatch. Waits for the loads of the other ranks."""
        routing = self.router(x_TD)
        order = sort_by_expert(routing, self.n_routed_experts, self.policy)
        load_RG = self.exchange.share_loads(order.load_N)
        sent_R: list[int] = order.load_N.view(self.exchange.n_ranks, -1).sum(1).tolist()
        received_R: list[int] = load_RG.sum(1).tolist()
        flight = self.exchange.send(x_TD[order.token_M], sent_R, received_R)
        return Dispatched(
            x_TD=x_TD, routing=routing, order=order, load_RG=load_RG, sent_R=sent_R, received_R=received_R,
            flight=flight,
        )  # fmt: skip

    def compute(self, dispatched: Dispatched) -> Computed:
        """Wait for the dispatch, run the experts held here, start the combine."""
        rows_MD, load_RG = dispatched.flight.wait(), dispatched.load_RG
        if len(load_RG) == 1:
            out_MD = self.experts(rows_MD, load_RG[0])
        else:
            grouped_M = by_local_expert(load_RG, len(rows_MD))
            out_MD = self.experts(rows_MD[grouped_M], load_RG.sum(0))[grouped_M.argsort()]
        flight = self.exchange.send(out_MD, dispatched.received_R, dispatched.sent_R)
        return Computed(dispatched=dispatched, flight=flight)

    def collect(self, computed: Computed) -> Tensor:
        """Wait for the combine and return the tokens' outputs [T, D]."""
        before = computed.dispatched
        used_here(*vars(before.routing).values(), *vars(before.order).values())
        routed_TD = unpermute(computed.flight.wait(), before.order, len(before.x_TD))
        identity_T = identity_weights(before.routing, self.n_routed_experts)
        return (routed_TD + identity_T[:, None] * before.x_TD).to(before.x_TD.dtype)
