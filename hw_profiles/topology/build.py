"""The links between the devices of a machine as a directed graph."""

import networkx as nx

from hw_profiles.schema import Bridges, HardwareProfile
from hw_profiles.topology.plan import Plan, check_n_devices, plan_fabric
from hw_profiles.topology.vocabulary import Topology


def build_topology(profile: HardwareProfile, n_devices: int) -> Topology:
    """Return the links of the first `n_devices` of the machine.

    Vertices are named `device3`, `nvswitch0` (one per node) or `bridge0` and `root0` (PCIe), `nic3`, `leaf0`, `spine0`,
    `core0`, and carry `kind`; devices also carry `node`. Edges are directed and carry `bytes_per_s` (what payload
    reaches), `latency_s` and `tier` (`vocabulary.TIERS`). The latencies along a route add up to that of its tier, plus
    that of bridges, sockets and of each switch after the first. A `rail_fat_tree` puts NIC r of 32 nodes on one leaf,
    a `fat_tree` all NICs of a few nodes; a leaf sends up what it can take from below, divided by the oversubscription,
    evenly over the spines of its pod. Raises InputFaults if the fabric has fewer devices.
    """
    check_n_devices(profile, n_devices)
    topology: Topology = nx.DiGraph()
    for device in range(n_devices):
        topology.add_node(f"device{device}", kind="device", node=device // profile.node.n_devices)
    if profile.node.bridges:
        _add_bridges(topology, profile, profile.node.bridges, n_devices)
    else:
        _add_nvswitches(topology, profile, n_devices)
    if profile.fabric.kind != "single_node":
        plan = plan_fabric(profile, n_devices)
        topology.graph["plan"] = plan
        _add_nics(topology, profile, plan)
        if plan.n_spines:
            _add_spines(topology, plan)
        if plan.cores_per_plane:
            _add_cores(topology, plan)
    return topology


def _join(topology: Topology, low: str, high: str, *, bytes_per_s: float, latency_s: float, tier: str) -> None:
    """Add both directions."""
    link = {"bytes_per_s": bytes_per_s, "latency_s": latency_s, "tier": tier}
    topology.add_edge(low, high, **link)
    topology.add_edge(high, low, **link)


def _add_nvswitches(topology: Topology, profile: HardwareProfile, n_devices: int) -> None:
    inside = profile.tiers["nvlink"]
    rate, half_s = inside.bytes_per_s * inside.efficiency, inside.latency_s / 2  # half on the way up, half down
    for device in range(n_devices):
        switch = f"nvswitch{device // profile.node.n_devices}"
        topology.add_node(switch, kind="nvswitch")
        _join(topology, f"device{device}", switch, bytes_per_s=rate, latency_s=half_s, tier="nvlink")


def _add_bridges(topology: Topology, profile: HardwareProfile, bridges: Bridges, n_devices: int) -> None:
    inside, per_node = profile.tiers["nvlink"], profile.node.n_devices
    rate, half_s = inside.bytes_per_s * inside.efficiency, inside.latency_s / 2
    up = {"bytes_per_s": bridges.bytes_per_s * inside.efficiency, "latency_s": bridges.latency_s / 2}
    across = {"bytes_per_s": bridges.socket_bytes_per_s * inside.efficiency, "latency_s": bridges.socket_latency_s}
    for device in range(n_devices):
        node = device // per_node
        bridge, root = (f"{kind}{number}" for kind, number in bridge_and_root(bridges, per_node, device).items())
        if bridge not in topology:
            topology.add_node(bridge, kind="bridge", root=root)
            _add_root(topology, root, node, across)
            _join(topology, bridge, root, **up, tier="pcie")
        topology.nodes[f"device{device}"]["bridge"] = bridge
        _join(topology, f"device{device}", bridge, bytes_per_s=rate, latency_s=half_s, tier="pcie")


def _add_root(topology: Topology, root: str, node: int, across: dict[str, float]) -> None:
    """Add the root of a socket, unless it is there, and its links to the other roots of the node."""
    if root in topology:
        return
    others = topology.graph.setdefault("roots", {}).setdefault(node, [])
    topology.add_node(root, kind="root")
    for other in others:
        _join(topology, root, other, bytes_per_s=across["bytes_per_s"], latency_s=across["latency_s"], tier="pcie")
    others.append(root)


def bridge_and_root(bridges: Bridges, devices_per_node: int, device: int) -> dict[str, int]:
    """Return the numbers of the bridge and of the root above a device, counted through all nodes."""
    node, place = divmod(device, devices_per_node)
    bridges_per_node = -(-devices_per_node // bridges.devices_per_bridge)
    roots_per_node = -(-bridges_per_node // bridges.bridges_per_socket)
    bridge = place // bridges.devices_per_bridge
    return {
        "bridge": node * bridges_per_node + bridge,
        "root": node * roots_per_node + bridge // bridges.bridges_per_socket,
    }


def _add_nics(topology: Topology, profile: HardwareProfile, plan: Plan) -> None:
    """Add NICs and leaves. A NIC hangs beside its devices: under their bridge, not behind its uplink."""
    half_s = profile.tiers["nic"].latency_s / 2
    for device, nics in enumerate(plan.nics_D):
        for nic in nics:
            leaf = f"leaf{plan.leaf_N[nic]}"
            topology.add_node(f"nic{nic}", kind="nic")
            topology.add_node(leaf, kind="leaf")
            rate = plan.nic_bytes_per_s
            _join(topology, f"device{device}", f"nic{nic}", bytes_per_s=rate, latency_s=half_s, tier="nic")
            _join(topology, f"nic{nic}", leaf, bytes_per_s=rate, latency_s=0.0, tier="nic")


def _add_spines(topology: Topology, plan: Plan) -> None:
    rate, latency_s = plan.leaf_up_bytes_per_s / plan.n_spines, plan.switch_latency_s
    for spine in range(plan.n_pods * plan.n_spines):
        topology.add_node(f"spine{spine}", kind="spine")
        for leaf, pod in enumerate(plan.pod_L):
            if pod == spine // plan.n_spines:
                _join(topology, f"leaf{leaf}", f"spine{spine}", bytes_per_s=rate, latency_s=latency_s, tier="spine")


def _add_cores(topology: Topology, plan: Plan) -> None:
    rate, latency_s = plan.spine_up_bytes_per_s / plan.cores_per_plane, plan.switch_latency_s
    for core in range(plan.n_spines * plan.cores_per_plane):
        topology.add_node(f"core{core}", kind="core")
        for pod in range(plan.n_pods):
            spine = f"spine{pod * plan.n_spines + core // plan.cores_per_plane}"
            _join(topology, spine, f"core{core}", bytes_per_s=rate, latency_s=latency_s, tier="core")
