"""Collectives as bytes by tier: what each rank sends and receives under an algorithm, and how many latencies it pays.

R ranks of a group on M nodes of n ranks each; C rank classes. Amounts are bytes per rank; B: a rank's buffer.
Every rule is symmetric, so that over a group as many bytes are received as sent, tier by tier.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from workloads.ops import BytesByDistance, Exchange, FloatArray, IntArray, Traffic, Work


@dataclass(frozen=True, kw_only=True)
class Members:
    """A group of ranks by where they stand: `n_ranks` of which `per_node` share a node (all, in a group of one node);
    `group_C` numbers the groups of the rank classes."""

    n_ranks: int
    per_node: int
    group_C: IntArray

    @property
    def n_nodes(self) -> int:
        """Nodes that the group fills."""
        return self.n_ranks // self.per_node


def members(n_ranks: int, devices_per_node: int, group_C: IntArray) -> Members:
    """Return the group of `n_ranks` neighbours, which fill whole nodes or stand in one."""
    return Members(n_ranks=n_ranks, per_node=min(n_ranks, devices_per_node), group_C=group_C)


def all_gather(name: str, kind: str, *, group: Members, shard_bytes_C: FloatArray) -> Work:
    """Return the all-gather after which every rank holds every shard of the group.

    Rails first, as LongCat-Flash trains (report, section 5: pipelined all-gather and reduce-scatter, intra and inter
    node): M-1 shards out over the NIC, one to each other node; then M shards to each of the n-1 others of the node.
    Received in all: (M-1) + M(n-1) = R-1 shards. Latencies: one of the NIC, one of the NVLink.
    """
    return _gathering(name, kind, "all_gather", group=group, shard_bytes_C=shard_bytes_C)


def reduce_scatter(name: str, kind: str, *, group: Members, shard_bytes_C: FloatArray) -> Work:
    """Return the reduce-scatter that undoes `all_gather`: the same bytes, NVLink first, partial sums over the NIC."""
    return _gathering(name, kind, "reduce_scatter", group=group, shard_bytes_C=shard_bytes_C)


def _gathering(name: str, kind: str, algorithm: Exchange, *, group: Members, shard_bytes_C: FloatArray) -> Work:
    moved: BytesByDistance = {
        "node": group.n_nodes * (group.per_node - 1) * shard_bytes_C,
        "remote": (group.n_nodes - 1) * shard_bytes_C,
    }
    return exchange(
        name, kind, algorithm, group=group, sent=moved, received=moved, node_hops=_any(group.per_node > 1),
        remote_hops=_any(group.n_nodes > 1),
    )  # fmt: skip


def all_reduce(name: str, kind: str, algorithm: Exchange, *, group: Members, buffer_bytes_C: FloatArray) -> Work:
    """Return the all-reduce of a buffer of B bytes on every rank; ValueError for what `algorithm` cannot do.

    "ring" (Patarasuk and Yuan 2009; nccl-tests, PERFORMANCE.md: 2 (R-1)/R B): reduce-scatter in the node, an all-reduce
    of B/n along each rail, all-gather in the node: 2 (n-1)/n B over NVLink, 2 (M-1)/M B/n over the NIC; a latency per
    step.
    "tree" (NCCL 2.4's double binary tree): a chain in the node and trees between nodes, of which a rank is leaf in one
    and inner in the other: the ring's bytes, with 2 log2 M latencies of the NIC in place of 2 (M-1).
    "in_switch" (NVLink SHARP, NCCL's NVLS): the switch takes B from every rank and returns sums of B/R, which are
    written back to all: (1 + 1/R) B each way, two latencies, in one NVLink domain alone.
    "one_shot", "two_shot" (custom kernels of serving engines, in one NVLink domain alone): every rank writes its buffer
    to each other, (R-1) B and one latency; or a reduce-scatter and an all-gather by direct writes, 2 (R-1)/R B and two.
    """
    ranks, nodes, per_node = group.n_ranks, group.n_nodes, group.per_node
    if algorithm in {"in_switch", "one_shot", "two_shot"} and nodes > 1:
        message = f"{algorithm} reduction needs one NVLink domain; these {ranks} ranks stand on {nodes} nodes"
        raise ValueError(message)
    node, remote = 2.0 * (per_node - 1) / per_node, 2.0 * (nodes - 1) / nodes / per_node
    remote_hops = 2 * (nodes - 1)
    if algorithm == "tree":
        remote_hops = 2 * int(np.ceil(np.log2(nodes)))
    node_hops = 2 * (per_node - 1)
    if algorithm == "in_switch":
        node, node_hops = 1.0 + 1.0 / ranks, 2
    if algorithm == "one_shot":
        node, node_hops = ranks - 1.0, 1
    if algorithm == "two_shot":
        node_hops = 2
    moved: BytesByDistance = {"node": node * buffer_bytes_C, "remote": remote * buffer_bytes_C}
    return exchange(
        name, kind, algorithm, group=group, sent=moved, received=moved, node_hops=node_hops, remote_hops=remote_hops
    )


def point_to_point(
    name: str, kind: str, *, group: Members, sent_bytes_C: FloatArray, received_bytes_C: FloatArray, crosses_nodes: bool
) -> Work:
    """Return a message from one rank to another, such as between stages of a pipeline: B sent here, B received there,
    one latency of the tier that it crosses."""
    nothing_C = np.zeros_like(sent_bytes_C)
    here, there = (nothing_C, sent_bytes_C) if crosses_nodes else (sent_bytes_C, nothing_C)
    in_here, in_there = (nothing_C, received_bytes_C) if crosses_nodes else (received_bytes_C, nothing_C)
    return exchange(
        name, kind, "point_to_point", group=group, sent={"node": here, "remote": there},
        received={"node": in_here, "remote": in_there}, node_hops=_any(not crosses_nodes),
        remote_hops=_any(crosses_nodes),
    )  # fmt: skip


def exchange(
    name: str,
    kind: str,
    algorithm: Exchange,
    *,
    group: Members,
    sent: BytesByDistance,
    received: BytesByDistance,
    node_hops: int,
    remote_hops: int,
    border_out_C: Mapping[str, FloatArray] | None = None,
    border_in_C: Mapping[str, FloatArray] | None = None,
) -> Work:
    """Return a collective that moves these bytes and pays so many latencies of the links inside and between nodes."""
    nothing_C = np.zeros_like(sent["node"])
    traffic = Traffic(
        sent_C=sent, received_C=received, local_C=nothing_C, group_C=group.group_C, border_out_C=border_out_C or {},
        border_in_C=border_in_C or {},
    )  # fmt: skip
    return Work(
        name=name, kind=kind, kernel="exchange", variant=algorithm, precision="bf16", flops_C=nothing_C,
        hbm_bytes_C=nothing_C, activation_bytes_C=nothing_C, traffic=traffic,
        shape={"ranks": group.n_ranks, "nodes": group.n_nodes, "node_hops": node_hops, "remote_hops": remote_hops},
    )  # fmt: skip


def _any(crossed: bool) -> int:
    """One latency where a tier is crossed."""
    return int(crossed)
