"""Which rank holds which expert: in order, or by load with the hottest experts held several times (EPLB).

N routed experts, Q expert slots of an EP group in rank order, E ranks of the group, M nodes of the group, S source
ranks, F origins that choose among replicas alike (one, or the nodes). Zero-computation experts need no slot.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from workloads.layout import ReplicaChoice
from workloads.ops import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class ExpertPlacement:
    """`expert_Q`: the expert in each slot; every rank has Q / `n_ranks` neighbouring slots, every expert a slot.

    `replica_choice`: a row of an expert goes to each of its replicas equally often ("even"), or only to those in its
    source's node where there are any ("nearest").
    """

    expert_Q: IntArray
    n_experts: int
    n_ranks: int
    ranks_per_node: int
    replica_choice: ReplicaChoice = "even"

    @cached_property
    def rank_Q(self) -> IntArray:
        """Rank of each slot."""
        return np.arange(len(self.expert_Q)) // (len(self.expert_Q) // self.n_ranks)

    @cached_property
    def node_E(self) -> IntArray:
        """Node of each rank."""
        return np.arange(self.n_ranks) // self.ranks_per_node

    @cached_property
    def first_rank_N(self) -> IntArray:
        """Lowest rank that holds each expert."""
        first_N = np.searchsorted(np.sort(self.expert_Q), np.arange(self.n_experts))
        return self.rank_Q[np.argsort(self.expert_Q, kind="stable")[first_N]]

    @cached_property
    def n_replicas_N(self) -> IntArray:
        """Slots of each expert."""
        return np.bincount(self.expert_Q, minlength=self.n_experts)

    @property
    def replicated(self) -> bool:
        """Whether any expert has more than one slot."""
        return len(self.expert_Q) > self.n_experts

    @cached_property
    def origin_S(self) -> IntArray:
        """Origin of each source rank: its row of `share_FQ`."""
        return self.node_E if self.replica_choice == "nearest" else np.zeros(self.n_ranks, dtype=np.int64)

    @cached_property
    def share_FQ(self) -> FloatArray:
        """Share of an expert's rows from each origin that each slot takes; the slots of an expert sum to 1."""
        if self.replica_choice == "even":
            return (1.0 / self.n_replicas_N)[self.expert_Q][None]
        n_nodes = int(self.node_E.max()) + 1
        near_FQ = self.node_E[self.rank_Q] == np.arange(n_nodes)[:, None]
        n_near_FN = np.stack([np.bincount(self.expert_Q[near_Q], minlength=self.n_experts) for near_Q in near_FQ])
        n_near_FQ = n_near_FN[:, self.expert_Q]
        even_FQ = np.broadcast_to(1.0 / self.n_replicas_N[self.expert_Q], near_FQ.shape)
        return np.where(n_near_FQ > 0, near_FQ / np.maximum(n_near_FQ, 1), even_FQ)

    def slots_of(self, choices_SN: FloatArray) -> FloatArray:
        """Return choices by source rank and expert as choices by source rank and slot, (S, Q)."""
        choices_SQ = choices_SN[:, self.expert_Q]
        return choices_SQ * self.share_FQ[self.origin_S] if self.replicated else choices_SQ

    def share_on_ranks(self) -> FloatArray:
        """Return the share of each expert's rows from each origin that goes to each rank, (F, N, E)."""
        share_FNE = np.zeros((len(self.share_FQ), self.n_experts, self.n_ranks))
        for slot, (expert, rank) in enumerate(zip(self.expert_Q, self.rank_Q, strict=True)):
            share_FNE[:, expert, rank] += self.share_FQ[:, slot]
        return share_FNE

    def share_on_nodes(self) -> FloatArray:
        """Return the share of each expert's rows from each origin that goes to each node, (F, N, M)."""
        return np.add.reduceat(self.share_on_ranks(), np.arange(0, self.n_ranks, self.ranks_per_node), axis=2)


def contiguous(n_experts: int, n_slots: int) -> IntArray:
    """Return the expert of each slot, in order; slots beyond the N experts hold the first ones again."""
    return np.arange(n_slots) % n_experts


def round_robin(n_experts: int, n_slots: int, n_ranks: int) -> IntArray:
    """Return the expert of each slot where experts, and the first ones again, are dealt to the ranks in turn; where
    that would bring an expert to the rank that holds it, every further round starts one rank later."""
    slots = np.arange(n_slots)
    shift = slots // n_experts if n_experts % n_ranks == 0 else 0
    return np.argsort((slots + shift) % n_ranks, kind="stable") % n_experts


def eplb(loads_N: FloatArray, n_slots: int, n_ranks: int) -> IntArray:
    """Return the expert of each slot when the hottest experts are held several times and slots are packed by load.

    The idea of DeepSeek's EPLB (its README, global load balancing): every spare slot goes to the expert with the most
    load per replica, then replicas are packed, heaviest first, into the rank with the least load that has room. An
    expert has at most one slot per rank; only where no other rank has room may two of its replicas meet. As greedy
    packing has anomalies, spare slots hold copies beside their originals where they would else make the hottest rank
    hotter than none would (which can be told where the ranks divide the experts).
    """
    packed_Q = _replicated_and_packed(loads_N, n_slots, n_ranks)
    n = len(loads_N)
    if n_slots == n or n % n_ranks:
        return packed_Q
    alone_Q = _with_idle_copies(_replicated_and_packed(loads_N, n, n_ranks), loads_N, n_slots, n_ranks)
    return min((packed_Q, alone_Q), key=lambda expert_Q: hottest_load(expert_Q, loads_N, n_ranks))


def eplb_hierarchical(loads_N: FloatArray, n_slots: int, n_ranks: int, *, n_nodes: int, n_groups: int) -> IntArray:
    """Return the expert of each slot when groups of neighbouring experts are packed over nodes first.

    DeepSeek's EPLB README, hierarchical load balancing: a group stays in one node (so that a router that picks groups
    reaches few nodes); inside each node replicas are made and packed as by `eplb`.
    """
    n = len(loads_N)
    node_G = _pack(loads_N.reshape(n_groups, -1).sum(axis=1), n_nodes, np.arange(n_groups))
    node_N = np.repeat(node_G, n // n_groups)
    slots = []
    for node in range(n_nodes):
        experts = np.flatnonzero(node_N == node)
        slots.append(experts[eplb(loads_N[experts], n_slots // n_nodes, n_ranks // n_nodes)])
    return np.concatenate(slots)


def hottest_load(expert_Q: IntArray, loads_N: FloatArray, n_ranks: int) -> float:
    """Return the load of the most loaded rank when each expert's load is split evenly over its slots."""
    load_Q = (loads_N / np.bincount(expert_Q, minlength=len(loads_N)))[expert_Q]
    return float(load_Q.reshape(n_ranks, -1).sum(axis=1).max())


def _replicated_and_packed(loads_N: FloatArray, n_slots: int, n_ranks: int) -> IntArray:
    n_replicas_N = np.ones(len(loads_N), dtype=np.int64)
    for _ in range(n_slots - len(loads_N)):
        n_replicas_N[np.argmax(np.where(n_replicas_N < n_ranks, loads_N / n_replicas_N, -1.0))] += 1
    expert_I = np.repeat(np.arange(len(loads_N)), n_replicas_N)
    rank_I = _pack((loads_N / n_replicas_N)[expert_I], n_ranks, expert_I)
    return expert_I[np.argsort(rank_I, kind="stable")]


def _pack(load_I: FloatArray, n_bins: int, expert_I: IntArray) -> IntArray:
    """Return the bin of each item, equally many in each: heaviest first, into the least loaded bin with room."""
    room_B, load_B = np.full(n_bins, len(load_I) // n_bins), np.zeros(n_bins)
    holds_BN = np.zeros((n_bins, int(expert_I.max()) + 1), dtype=bool)
    bin_I = np.empty(len(load_I), dtype=np.int64)
    for item in np.argsort(-load_I, kind="stable"):
        expert = expert_I[item]
        free_B = (room_B > 0) & ~holds_BN[:, expert]
        chosen = np.argmin(np.where(free_B if free_B.any() else room_B > 0, load_B, np.inf))
        bin_I[item] = chosen
        room_B[chosen] -= 1
        load_B[chosen] += load_I[item]
        holds_BN[chosen, expert] = True
    return bin_I


def _with_idle_copies(expert_Q: IntArray, loads_N: FloatArray, n_slots: int, n_ranks: int) -> IntArray:
    """Fill each rank's spare slots with copies of its own hottest expert, which changes no rank's load."""
    expert_EX = expert_Q.reshape(n_ranks, -1)
    hottest_E = expert_EX[np.arange(n_ranks), np.argmax(loads_N[expert_EX], axis=1)]
    n_spare = (n_slots - len(expert_Q)) // n_ranks
    return np.column_stack([expert_EX, np.tile(hottest_E[:, None], n_spare)]).ravel()
