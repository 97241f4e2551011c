"""Degrees of parallelism of one replica, and where its experts stand."""

from dataclasses import dataclass
from typing import Literal

PlacementRule = Literal["contiguous", "round_robin", "eplb", "eplb_hierarchical"]
ReplicaChoice = Literal["even", "nearest"]
LOAD_AWARE: tuple[PlacementRule, ...] = ("eplb", "eplb_hierarchical")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Parallel layout; `attention_dp` follows as n_gpus / (attention_tp * cp * pp).

    Attention is data parallel over groups of `attention_tp` ranks, dense FFNs are split over `dense_tp` ranks, experts
    over `ep` ranks. Ranks of a group are neighbours; a group stands in a node or fills whole ones.

    `tp_tokens`: what a rank of a tensor-parallel group holds between the products that the group shares: "scattered",
    its share of the tokens (all-gather before, reduce-scatter after), or "replicated", all of them (all-reduce after).
    Where they are replicated one group shares everything (attention_tp = dense_tp = ep * moe_tp), the LM head and the
    shared experts too; experts need no all-to-all, and the width of each is split over `moe_tp` ranks.

    Every EP group has N + `n_redundant_experts` expert slots, filled by `expert_placement`; "eplb_hierarchical" keeps
    each of `n_expert_groups` (0: every expert is one) in a node. `replica_choice`: which replica takes a row.
    `placement_loads`: loads that a load-aware placement knows, "true" (expected) or "window:STEPS" (counted in that
    many earlier steps); it is made anew every `rebalance_every_steps` (0: never) from the next window.
    """

    attention_tp: int = 1
    dense_tp: int = 1
    ep: int = 1
    moe_tp: int = 1
    tp_tokens: Literal["scattered", "replicated"] = "scattered"
    cp: int = 1
    pp: int = 1
    expert_placement: PlacementRule = "contiguous"
    n_redundant_experts: int = 0
    n_expert_groups: int = 0
    replica_choice: ReplicaChoice = "even"
    placement_loads: str = "true"
    rebalance_every_steps: int = 0

    @property
    def replicated(self) -> bool:
        """Whether every rank of a tensor-parallel group holds all of its tokens."""
        return self.tp_tokens == "replicated"

    @property
    def token_shards(self) -> int:
        """Ranks over which the tokens of an attention group are scattered."""
        return 1 if self.replicated else self.attention_tp

    @property
    def replicated_tp(self) -> int:
        """Ranks that share the LM head and the shared experts; 1 where each has its own."""
        return self.attention_tp if self.replicated else 1

    @property
    def window_steps(self) -> int:
        """Steps whose counts a placement is made from; 0 where it knows the expected loads, or needs none."""
        kind, _, steps = self.placement_loads.partition(":")
        return int(steps) if kind == "window" and self.expert_placement in LOAD_AWARE else 0
