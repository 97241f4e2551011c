"""A fabric of which parts have failed."""

from collections.abc import Collection

import networkx as nx

from hw_profiles.faults import Fault, InputFaults, nearest
from hw_profiles.topology.routes import no_way
from hw_profiles.topology.vocabulary import Edge, Topology

_SHOWN = 4  # devices named of each part that is cut off


def failed(topology: Topology, *, links: Collection[Edge] = (), nodes: Collection[str] = ()) -> Topology:
    """Return a copy without the dead `links` (each in both directions) and `nodes` (vertices: devices, switches, NICs).

    `route` then takes what is left. Raises InputFaults for parts that are not there, and if the devices that are left
    cannot all reach each other: which, from which.
    """
    faults = [_unknown(topology, name) for name in nodes if name not in topology]
    faults += [_no_link(edge) for edge in links if not topology.has_edge(*edge)]
    if faults:
        raise InputFaults(faults)
    left = topology.copy()
    left.remove_edges_from([way for a, b in links for way in ((a, b), (b, a))])
    left.remove_nodes_from(nodes)
    if faults := _cut_off(left):
        raise InputFaults(faults)
    return left


def _cut_off(topology: Topology) -> list[Fault]:
    """Return a fault for each part of the devices that the first part cannot reach."""
    parts = [
        sorted((vertex for vertex in part if topology.nodes[vertex]["kind"] == "device"), key=_number)
        for part in nx.weakly_connected_components(topology)
    ]
    first, *others = sorted((part for part in parts if part), key=lambda part: _number(part[0])) or [[]]
    return [no_way(_names(first), _names(part)) for part in others]


def _number(device: str) -> int:
    return int(device.removeprefix("device"))


def _names(devices: list[str]) -> str:
    more = f" and {len(devices) - _SHOWN} more" if len(devices) > _SHOWN else ""
    return ", ".join(devices[:_SHOWN]) + more


def _unknown(topology: Topology, name: str) -> Fault:
    close = nearest(name, list(topology))
    return Fault(
        field="nodes",
        got=repr(name),
        allowed="vertices of the topology",
        remedy=f"did you mean {close!r}?" if close else "write e.g. 'spine0' or 'nic3'",
    )


def _no_link(edge: Edge) -> Fault:
    return Fault(
        field="links",
        got=" to ".join(edge),
        allowed="pairs of vertices that a link joins",
        remedy="write e.g. ('nic3', 'leaf3')",
    )
