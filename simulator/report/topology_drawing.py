"""Which vertices of a fabric a drawing shows: what repeats is drawn once, with its number; no plotly here."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from hw_profiles.topology.vocabulary import KINDS, Topology

MOST_DEVICES = 64
"""With more devices than this, a node is one box."""
MOST_NODES = 32
"""With more nodes than this, those that hang on the same leaves are one box."""
MOST_SWITCHES = 36
"""With more switches of any kind than this, those with the same neighbours are one mark."""
_PLURAL = {
    "device": "GPUs", "nvswitch": "NVSwitches", "bridge": "bridges", "root": "roots", "nic": "NICs", "leaf": "leaves",
    "spine": "spines", "core": "cores", "node": "nodes",
}  # fmt: skip
SWITCHES = ("leaf", "spine", "core")
_INSIDE = ("device", "nvswitch", "bridge", "root", "nic")


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A vertex of the drawing: `kind` ("node" for a whole node or several), what it says, how many it stands for."""

    kind: str
    label: str
    number: int


@dataclass(frozen=True, kw_only=True)
class Line:
    """Links between two marks: all of them together, one direction [bytes/s]."""

    low: int
    high: int
    tier: str
    bytes_per_s: float


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Marks from the devices up, and the lines between them (positions in `marks`)."""

    marks: tuple[Mark, ...]
    lines: tuple[Line, ...]


def drawing_of(topology: Topology) -> Drawing:
    """Return what to draw of a topology: every vertex, or boxes and groups of switches where there are too many."""
    name_of = {str(vertex): str(vertex) for vertex in topology}
    kinds = _kinds(topology)
    devices = [vertex for vertex in name_of if kinds[vertex] == "device"]
    if len(devices) > MOST_DEVICES:
        _box_nodes(topology, name_of)
        if len({name_of[device] for device in devices}) > MOST_NODES:
            _merge_twins(topology, name_of, [vertex for vertex in name_of if kinds[vertex] in _INSIDE])
    number_of = Counter(kinds.values())
    if max(number_of[kind] for kind in SWITCHES) > MOST_SWITCHES:
        for layer in SWITCHES:
            _merge_twins(topology, name_of, [vertex for vertex in name_of if kinds[vertex] == layer])
    return _collected(topology, name_of, kinds)


def _kinds(topology: Topology) -> dict[str, str]:
    """Return the kind of every vertex."""
    return {vertex: str(topology.nodes[vertex]["kind"]) for vertex in topology}


def _box_nodes(topology: Topology, name_of: dict[str, str]) -> None:
    """Put all vertices of a node into its box: its devices, their switch or bridges and roots, their NICs."""
    for device in [vertex for vertex in topology if topology.nodes[vertex]["kind"] == "device"]:
        box = f"node{topology.nodes[device]['node']}"
        for vertex in [device, *topology.successors(device)]:
            name_of[vertex] = box
            for beyond in topology.successors(vertex):
                if topology.nodes[beyond]["kind"] == "root":
                    name_of[beyond] = box


def _merge_twins(topology: Topology, name_of: dict[str, str], wanted: Iterable[str]) -> None:
    """Give one name to the wanted marks that have the same neighbours."""
    neighbours: dict[str, set[str]] = defaultdict(set)
    for vertex in wanted:
        around = {name_of[beyond] for beyond in topology.successors(vertex)}
        neighbours[name_of[vertex]] |= around - {name_of[vertex]}
    first: dict[Hashable, str] = {}
    same = {name: first.setdefault(frozenset(around), name) for name, around in neighbours.items()}
    for vertex, name in name_of.items():
        name_of[vertex] = same.get(name, name)


def _collected(topology: Topology, name_of: dict[str, str], kinds: dict[str, str]) -> Drawing:
    inside: dict[str, list[str]] = defaultdict(list)
    for vertex, name in name_of.items():
        inside[name].append(vertex)
    names = sorted(inside, key=lambda name: _level(_kind(name, kinds)))  # stable: within a layer in order of building
    place = {name: position for position, name in enumerate(names)}
    rates: Counter[tuple[int, int, str]] = Counter()
    for low, high, link in topology.edges(data=True):
        ends = place[name_of[low]], place[name_of[high]]
        if ends[0] < ends[1]:
            rates[*ends, link["tier"]] += link["bytes_per_s"]
    return Drawing(
        marks=tuple(_mark(name, inside[name], topology, kinds) for name in names),
        lines=tuple(Line(low=low, high=high, tier=tier, bytes_per_s=rate) for (low, high, tier), rate in rates.items()),
    )


def _kind(name: str, kinds: dict[str, str]) -> str:
    return kinds.get(name, "node")


def _level(kind: str) -> int:
    return 0 if kind == "node" else KINDS.index(kind)


def _mark(name: str, vertices: Iterable[str], topology: Topology, kinds: dict[str, str]) -> Mark:
    vertices = list(vertices)
    kind = _kind(name, kinds)
    if kind != "node":
        number = len(vertices)
        label = name.replace("device", "GPU ").replace("nvswitch", "NVSwitch ") if number == 1 else ""
        return Mark(kind=kind, label=label or f"{number} {_PLURAL[kind]}", number=number)
    devices = [vertex for vertex in vertices if kinds[vertex] == "device"]
    nodes = list(dict.fromkeys(topology.nodes[device]["node"] for device in devices))
    per_node = len(devices) // len(nodes)
    label = f"node {nodes[0]}<br>{per_node} GPUs" if len(nodes) == 1 else f"{len(nodes)} nodes<br>of {per_node} GPUs"
    return Mark(kind="node", label=label, number=len(nodes))
