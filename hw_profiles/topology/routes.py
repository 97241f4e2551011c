"""The way from one device to another."""

from collections.abc import Iterator
from itertools import chain, pairwise
from typing import TypeVar

import networkx as nx

from hw_profiles.faults import Fault, InputFaults
from hw_profiles.topology.plan import Plan
from hw_profiles.topology.vocabulary import Edge, Topology

ThingT = TypeVar("ThingT")


def route(topology: Topology, a: str, b: str) -> list[Edge]:
    """Return the edges from device `a` to device `b`, in order; none if they are the same device.

    Inside a node the way leads over its switch or bridges, else from NIC to NIC; NIC, spine and core follow from the
    destination (destination-modulo routing), so that a pair always takes the same way. Where that way is broken, the
    next spine or NIC whose way is whole, else the fewest hops: over a neighbour's NIC, but never over a device of a
    third node. Raises ValueError for unknown devices, InputFaults where no way is left.
    """
    for device in (a, b):
        if device not in topology or topology.nodes[device]["kind"] != "device":
            raise ValueError(f"device: got {device!r}; allowed device vertices of the topology; write e.g. 'device0'")
    if a == b:
        return []
    usual = (list(pairwise([a, *between, b])) for between in _usual(topology, a, b))
    whole = next((way for way in usual if all(topology.has_edge(*edge) for edge in way)), None)
    return whole or _detour(topology, a, b)


def _usual(topology: Topology, a: str, b: str) -> Iterator[list[str]]:
    """Yield the vertices between two devices, the way of an unbroken fabric first."""
    node = topology.nodes[a]["node"]
    if node == topology.nodes[b]["node"]:
        yield _inside(topology, a, b, node)
    elif "plan" in topology.graph:
        yield from _outside(topology.graph["plan"], int(a.removeprefix("device")), int(b.removeprefix("device")))


def _inside(topology: Topology, a: str, b: str, node: int) -> list[str]:
    if "bridge" not in topology.nodes[a]:
        return [f"nvswitch{node}"]
    bridges = [topology.nodes[device]["bridge"] for device in (a, b)]
    if bridges[0] == bridges[1]:
        return bridges[:1]
    if not all(bridge in topology for bridge in bridges):
        return []
    roots = dict.fromkeys(topology.nodes[bridge]["root"] for bridge in bridges)
    return [bridges[0], *roots, bridges[1]]


def _outside(plan: Plan, here: int, there: int) -> Iterator[list[str]]:
    """Yield the ways between nodes over each NIC, spine and core, beginning with those the destination selects."""
    pairs = list(zip(plan.nics_D[here], plan.nics_D[there], strict=True))
    for nic_up, nic_down in _from(there % len(pairs), pairs):
        leaf_up, leaf_down = plan.leaf_N[nic_up], plan.leaf_N[nic_down]
        for middle in _between_leaves(plan, leaf_up, leaf_down, there):
            yield [f"nic{nic_up}", *middle, f"nic{nic_down}"]


def _between_leaves(plan: Plan, up: int, down: int, there: int) -> Iterator[list[str]]:
    if up == down:
        yield [f"leaf{up}"]
        return
    pod_up, pod_down = plan.pod_L[up], plan.pod_L[down]
    for plane in _from(there % plan.n_spines, list(range(plan.n_spines))):
        spine_up, spine_down = (f"spine{pod * plan.n_spines + plane}" for pod in (pod_up, pod_down))
        if pod_up == pod_down:
            yield [f"leaf{up}", spine_up, f"leaf{down}"]
            continue
        cores = list(range(plane * plan.cores_per_plane, (plane + 1) * plan.cores_per_plane))
        for core in _from(there // plan.n_spines % plan.cores_per_plane, cores):
            yield [f"leaf{up}", spine_up, f"core{core}", spine_down, f"leaf{down}"]


def _from(start: int, things: list[ThingT]) -> Iterator[ThingT]:
    """Yield all things, beginning in the middle."""
    return chain(things[start:], things[:start])


def _detour(topology: Topology, a: str, b: str) -> list[Edge]:
    nodes = {topology.nodes[device]["node"] for device in (a, b)}

    def is_open(vertex: str) -> bool:
        return topology.nodes[vertex].get("node") in {None, *nodes}

    try:
        return list(pairwise(nx.shortest_path(nx.subgraph_view(topology, filter_node=is_open), a, b)))
    except nx.NetworkXNoPath:
        raise InputFaults([no_way(a, b)]) from None


def no_way(a: str, b: str) -> Fault:
    """Return the fault of two sets of devices that nothing joins any more."""
    return Fault(
        field="topology",
        got=f"no way left from {a} to {b}",
        allowed="devices that reach each other",
        remedy="let fewer links and switches fail, or leave these devices out",
    )
