"""The words of a topology."""

from typing import TypeAlias

import networkx as nx

Topology: TypeAlias = "nx.DiGraph[str]"
Edge = tuple[str, str]
TIERS = ("nvlink", "pcie", "nic", "spine", "core")
"""Tiers of edges: inside a node over its switch, or over PCIe; NIC and its cable; leaf to spine; spine to core."""
KINDS = ("device", "nvswitch", "bridge", "root", "nic", "leaf", "spine", "core")
"""Kinds of vertices, from the device upwards; `bridge` and `root` are those of a PCIe node."""
