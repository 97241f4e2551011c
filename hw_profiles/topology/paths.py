"""What a way, and what a whole fabric, can carry."""

from collections.abc import Sequence
from math import inf

import networkx as nx

from hw_profiles.topology.vocabulary import Edge, Topology


def path_bytes_per_s(topology: Topology, way: Sequence[Edge]) -> float:
    """Return the rate of the slowest link of a way [bytes/s]; infinite for the way of a device to itself."""
    return min((float(topology.edges[edge]["bytes_per_s"]) for edge in way), default=inf)


def path_latency_s(topology: Topology, way: Sequence[Edge]) -> float:
    """Return the sum of the latencies along a way [s]."""
    return sum((float(topology.edges[edge]["latency_s"]) for edge in way), start=0.0)


def bisection_bytes_per_s(topology: Topology) -> float:
    """Return what the lower-numbered half of the devices can send to the other half at once [bytes/s].

    The maximum flow between the halves over all ways, detours over NVLink included; of an odd number the second half
    has one more. Infinite for a single device, and where a way has no limit.
    """
    devices = [vertex for vertex in topology if topology.nodes[vertex]["kind"] == "device"]
    if len(devices) < 2:
        return inf
    flow = topology.copy()
    half = len(devices) // 2
    flow.add_edges_from(("lower half", device) for device in devices[:half])
    flow.add_edges_from((device, "upper half") for device in devices[half:])
    try:
        return float(nx.maximum_flow_value(flow, "lower half", "upper half", capacity="bytes_per_s"))
    except nx.NetworkXUnbounded:
        return inf
