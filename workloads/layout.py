"""Degrees of parallelism of one replica."""

from dataclasses import dataclass
from typing import Literal

ExpertPlacement = Literal["contiguous", "round_robin"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Parallel layout; `attention_dp` follows as n_gpus / (attention_tp * cp * pp).

    Attention is data parallel over groups of `attention_tp` ranks, dense FFNs are split over `dense_tp` ranks (inside
    a node), experts over `ep` ranks. Ranks of a group are neighbours.
    """

    attention_tp: int = 1
    dense_tp: int = 1
    ep: int = 1
    cp: int = 1
    pp: int = 1
    expert_placement: ExpertPlacement = "contiguous"
    n_redundant_experts: int = 0
