"""Fabrics small enough to draw, for tests: toy machines whose links carry 1 GB/s after 1 µs."""

from dataclasses import replace

import toy

from hw_profiles.schema import Bridges, Node

GB = 1e9
TWO_PER_NODE = toy.machine(n_devices_per_node=2, max_devices=64)


def fabric(**changes):
    """Two devices per node and switches of four ports: two nodes on a leaf's two ports down."""
    return replace(TWO_PER_NODE, fabric=replace(TWO_PER_NODE.fabric, **{"ports_per_switch": 4, **changes}))


# Leaf r of a group takes rail r of two nodes; a pod is two leaves, so one group: four devices.
THREE_LAYERS = fabric(kind="rail_fat_tree", n_layers=3, switch_latency_s=1e-7)
SHARED_NIC = fabric(devices_per_nic=2)
TWO_NICS = fabric(kind="rail_fat_tree", nics_per_device=2)
# Four devices under two bridges, a bridge per socket: 1 GB/s to the bridge, 0.5 to the root, 0.25 between sockets.
PCIE = replace(
    toy.machine(n_devices_per_node=4, max_devices=4),
    node=Node(
        n_devices=4,
        kind="pcie",
        bridges=Bridges(
            devices_per_bridge=2, bytes_per_s=0.5 * GB, latency_s=2e-6,
            bridges_per_socket=1, socket_bytes_per_s=0.25 * GB, socket_latency_s=3e-6,
        ),
    ),
)  # fmt: skip
