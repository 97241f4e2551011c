"""The links between the devices of a machine as a directed graph, and the way from one device to another."""

from collections.abc import Iterator
from itertools import pairwise
from math import ceil
from typing import TypeAlias

import networkx as nx

from hw_profiles.faults import Fault, InputFaults
from hw_profiles.schema import HardwareProfile, Tier

# 64-port switches, half of the ports down: NVIDIA QM9700 and its like; 32 nodes of 8 rails make one DGX SuperPOD
# scalable unit (NVIDIA DGX SuperPOD reference architecture, H100).
LEAF_DOWN_PORTS = 32
SPINE_PORTS = 64

Topology: TypeAlias = "nx.DiGraph[str]"
Edge = tuple[str, str]


def build_topology(profile: HardwareProfile, n_devices: int) -> Topology:
    """Return the links of the first `n_devices` of the machine.

    Vertices are named `device3`, `nvswitch0` (one per node), `nic3` (one per device), `leaf0`, `spine0`, and carry
    `kind`; devices also carry `node`. Edges are directed and carry `bytes_per_s` (what payload reaches),
    `latency_s` and `tier` ("nvlink", "nic", "spine"). The latencies along a route add up to that of its tier.
    A `rail_fat_tree` puts NIC r of 32 nodes on one leaf, a `fat_tree` all NICs of a few nodes; a leaf sends up what
    it can take from below, divided by the oversubscription. Raises InputFaults if the fabric has fewer devices.
    """
    _check_for_too_many_devices(profile, n_devices)
    topology: Topology = nx.DiGraph()
    for device in range(n_devices):
        node = device // profile.node.n_devices
        topology.add_node(f"device{device}", kind="device", node=node)
        topology.add_node(f"nvswitch{node}", kind="nvswitch")
        _join(topology, f"device{device}", f"nvswitch{node}", profile.tiers["nvlink"], "nvlink")
    if profile.fabric.kind != "single_node":
        _add_fabric(topology, profile, n_devices)
    return topology


def route(topology: Topology, a: str, b: str) -> list[Edge]:
    """Return the edges from device `a` to device `b`, in order; none if they are the same device.

    Inside a node the way leads over the NVSwitch, else from NIC to NIC; the spine follows from the destination
    (destination-modulo routing), so that a pair always takes the same way. Raises ValueError for unknown devices.
    """
    for device in (a, b):
        if device not in topology or topology.nodes[device]["kind"] != "device":
            raise ValueError(f"device: got {device!r}; allowed device vertices of the topology; write e.g. 'device0'")
    if a == b:
        return []
    way = [a, *_between(topology, a, b), b]
    return list(pairwise(way))


def _check_for_too_many_devices(profile: HardwareProfile, n_devices: int) -> None:
    if not 1 <= n_devices <= profile.fabric.max_devices:
        raise InputFaults(
            [
                Fault(
                    field="n_devices",
                    got=str(n_devices),
                    allowed=f"1 to {profile.fabric.max_devices} on {profile.name}",
                    remedy="use fewer devices, or a machine whose fabric.max_devices is larger",
                )
            ]
        )


def _join(topology: Topology, device: str, switch: str, tier: Tier, name: str) -> None:
    """Add both directions; each way up or down carries half of the tier's end-to-end latency."""
    link = {"bytes_per_s": tier.bytes_per_s * tier.efficiency, "latency_s": tier.latency_s / 2, "tier": name}
    topology.add_edge(device, switch, **link)
    topology.add_edge(switch, device, **link)


def _add_fabric(topology: Topology, profile: HardwareProfile, n_devices: int) -> None:
    nic = profile.tiers["nic"]
    cable = {"bytes_per_s": nic.bytes_per_s * nic.efficiency, "latency_s": 0.0, "tier": "nic"}
    leaves = [_leaf_of(profile, device) for device in range(n_devices)]
    numbers = {place: number for number, place in enumerate(sorted(set(leaves)))}
    for device, place in enumerate(leaves):
        leaf = f"leaf{numbers[place]}"
        topology.add_node(f"nic{device}", kind="nic", leaf=leaf)
        topology.add_node(leaf, kind="leaf")
        _join(topology, f"device{device}", f"nic{device}", nic, "nic")
        topology.add_edge(f"nic{device}", leaf, **cable)
        topology.add_edge(leaf, f"nic{device}", **cable)
    if len(numbers) > 1:
        _add_spines(topology, profile, len(numbers))


def _leaf_of(profile: HardwareProfile, device: int) -> tuple[int, int]:
    """Return (group of nodes, leaf within the group) of a device."""
    node, rail = divmod(device, profile.node.n_devices)
    if profile.fabric.kind == "rail_fat_tree":
        return node // LEAF_DOWN_PORTS, rail
    nodes_per_leaf = max(1, LEAF_DOWN_PORTS // profile.node.n_devices)
    return node // nodes_per_leaf, 0


def _add_spines(topology: Topology, profile: HardwareProfile, n_leaves: int) -> None:
    nic = profile.tiers["nic"]
    n_spines = max(1, ceil(n_leaves * LEAF_DOWN_PORTS / profile.fabric.oversubscription / SPINE_PORTS))
    uplink_bytes_per_s = LEAF_DOWN_PORTS * nic.bytes_per_s * nic.efficiency / profile.fabric.oversubscription
    cable = {"bytes_per_s": uplink_bytes_per_s / n_spines, "latency_s": 0.0, "tier": "spine"}
    topology.graph["n_spines"] = n_spines
    for spine in range(n_spines):
        topology.add_node(f"spine{spine}", kind="spine")
        for leaf in range(n_leaves):
            topology.add_edge(f"leaf{leaf}", f"spine{spine}", **cable)
            topology.add_edge(f"spine{spine}", f"leaf{leaf}", **cable)


def _between(topology: Topology, a: str, b: str) -> Iterator[str]:
    """Yield the vertices between two devices."""
    node = topology.nodes[a]["node"]
    if node == topology.nodes[b]["node"]:
        yield f"nvswitch{node}"
        return
    here, there = a.removeprefix("device"), b.removeprefix("device")
    leaf_up, leaf_down = (topology.nodes[f"nic{device}"]["leaf"] for device in (here, there))
    yield f"nic{here}"
    yield leaf_up
    if leaf_up != leaf_down:
        yield f"spine{int(there) % topology.graph['n_spines']}"
        yield leaf_down
    yield f"nic{there}"
