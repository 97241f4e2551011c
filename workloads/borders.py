"""Borders of groups of ranks whose members share what leads out of the group and what leads in.

What crosses them follows from who sends to whom; which groups there are and how fast their links are is the machine's.
R ranks, E ranks of an EP group, G groups of a border, V borders, S source and D destination rank.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from workloads.ops import FloatArray

Scope = Literal["node", "fabric", "any"]


@dataclass(frozen=True, kw_only=True)
class Border:
    """One kind of border: `groups` of ranks, each with a shared link out and one in. Traffic of its `scope` ("node":
    between ranks of one node, "fabric": between nodes, "any": both, of kernels that know no link inside the node) that
    leaves or enters a group loads its link with `share` of its bytes."""

    name: str
    scope: Scope
    groups: tuple[tuple[int, ...], ...]
    share: float = 1.0

    @cached_property
    def n_ranks(self) -> int:
        """Ranks that stand in some group: one more than the last."""
        return 1 + max(max(group) for group in self.groups)

    @cached_property
    def member_RG(self) -> FloatArray:
        """1 where a rank stands in a group."""
        member_RG = np.zeros((self.n_ranks, len(self.groups)))
        for number, group in enumerate(self.groups):
            member_RG[list(group), number] = 1.0
        return member_RG


def crossings(border: Border, pair_SD: FloatArray, first: int) -> FloatArray:
    """Return what leaves and what enters each group, (2, G), of the amounts `pair_SD` between ranks from `first` on."""
    member_EG = border.member_RG[first : first + len(pair_SD)]
    inside_G = np.einsum("eg,eg->g", member_EG, pair_SD @ member_EG)
    out_G, in_G = pair_SD.sum(axis=1) @ member_EG - inside_G, pair_SD.sum(axis=0) @ member_EG - inside_G
    return border.share * np.maximum([out_G, in_G], 0.0)


def on_ranks(
    borders: Sequence[Border], crossed_VG: Sequence[FloatArray], n_ranks: int
) -> tuple[FloatArray, FloatArray]:
    """Return what the links out and the links in of each rank's own group carry in all, (1, R, V) each: the fuller of
    several groups that a rank stands in."""
    load_2RV = np.zeros((2, n_ranks, len(borders)))
    for number, (border, crossed_2G) in enumerate(zip(borders, crossed_VG, strict=True)):
        for way in range(2):
            load_2RV[way, :, number] = (border.member_RG[:n_ranks] * crossed_2G[way]).max(axis=1, initial=0.0)
    return load_2RV[0][None], load_2RV[1][None]
