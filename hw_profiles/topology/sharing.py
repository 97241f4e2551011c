"""The links that several devices share: uplinks of leaves and pods, NICs of several devices, bridges of a PCIe node.

A shared link stands at the border of a group of devices and has one direction. It is what bounds a group as a whole;
lanes of one device alone (NVLink, its own NIC) are not among them, nor the switch of a node, which blocks nobody.

Which ones a message crosses follows from membership alone. From device s to device d it crosses

- every "up" link whose group holds s and not d, and
- every "down" link whose group holds d and not s,

of the links whose `scope` fits the pair: "node" if s and d share a node, "fabric" if not (traffic inside a node never
leaves it). It loads each with `share` of its bytes: 1, or 1 / n where a device spreads over n NICs on different leaves.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from hw_profiles.schema import HardwareProfile
from hw_profiles.topology.build import bridge_and_root
from hw_profiles.topology.plan import Plan, check_n_devices, plan_fabric

Groups = Mapping[int, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class SharedLink:
    """One direction of what joins a group of devices to the rest. `bytes_per_s`: all parallel cables together, what
    payload reaches; `latency_s`: added to the latency of the pair's tier; `tier` as of edges; `devices`: the group,
    ascending: those that send out through an "up" link, or receive through a "down" link."""

    name: str
    tier: Literal["pcie", "nic", "spine", "core"]
    direction: Literal["up", "down"]
    scope: Literal["node", "fabric"]
    devices: tuple[int, ...]
    share: float
    bytes_per_s: float
    latency_s: float

    @cached_property
    def members(self) -> frozenset[int]:
        """The group as a set, for look-ups."""
        return frozenset(self.devices)


@dataclass(frozen=True, kw_only=True)
class SharedLinks:
    """All shared links of the first devices of a machine, "up" before "down" of each group, inner groups first."""

    links: tuple[SharedLink, ...]
    devices_per_node: int

    @cached_property
    def by_device(self) -> Mapping[int, tuple[SharedLink, ...]]:
        """The links of each device's groups, in the order of `links`."""
        found: dict[int, list[SharedLink]] = defaultdict(list)
        for link in self.links:
            for device in link.devices:
                found[device].append(link)
        return {device: tuple(own) for device, own in found.items()}

    def crossed(self, source: int, destination: int) -> list[SharedLink]:
        """Return the shared links that a message crosses, those up first."""
        one_node = source // self.devices_per_node == destination // self.devices_per_node
        scope = "node" if one_node else "fabric"
        return [
            link
            for inside, outside, direction in ((source, destination, "up"), (destination, source, "down"))
            for link in self.by_device.get(inside, ())
            if link.direction == direction and link.scope == scope and outside not in link.members
        ]


def shared_links(profile: HardwareProfile, n_devices: int) -> SharedLinks:
    """Return the links that several of the first `n_devices` share. Raises InputFaults if there are not so many."""
    check_n_devices(profile, n_devices)
    links = [*_of_bridges(profile, n_devices)]
    if profile.fabric.kind != "single_node":
        links += _of_fabric(plan_fabric(profile, n_devices))
    return SharedLinks(links=tuple(links), devices_per_node=profile.node.n_devices)


def _of_bridges(profile: HardwareProfile, n_devices: int) -> Iterator[SharedLink]:
    bridges, per_node = profile.node.bridges, profile.node.n_devices
    if bridges is None:
        return
    efficiency = profile.tiers["nvlink"].efficiency
    places = [bridge_and_root(bridges, per_node, device) for device in range(n_devices)]
    under_bridge = _grouped([(place["bridge"], device) for device, place in enumerate(places)])
    under_root = _grouped([(place["root"], device) for device, place in enumerate(places)])
    n_bridges = -(-per_node // bridges.devices_per_bridge)
    others = -(-n_bridges // bridges.bridges_per_socket) - 1
    rate, latency_s = bridges.bytes_per_s * efficiency, bridges.latency_s / 2
    if n_bridges > 1:
        yield from _borders("bridge", under_bridge, tier="pcie", scope="node", bytes_per_s=rate, latency_s=latency_s)
    if others:
        rate, latency_s = others * bridges.socket_bytes_per_s * efficiency, bridges.socket_latency_s / 2
        yield from _borders("root", under_root, tier="pcie", scope="node", bytes_per_s=rate, latency_s=latency_s)


def _of_fabric(plan: Plan) -> Iterator[SharedLink]:
    n_nics = len(plan.nics_D[0])
    behind_nic = _grouped([(nic, device) for device, nics in enumerate(plan.nics_D) for nic in nics])
    if any(len(devices) > 1 for devices in behind_nic.values()):
        yield from _borders("nic", behind_nic, tier="nic", bytes_per_s=plan.nic_bytes_per_s, latency_s=0.0)
    leaves_D = [plan.leaves_of(device) for device in range(len(plan.nics_D))]
    under_leaf = _grouped([(leaf, device) for device, leaves in enumerate(leaves_D) for leaf in leaves])
    if plan.n_spines:
        share = leaves_D[0].count(leaves_D[0][0]) / n_nics
        rate = plan.leaf_up_bytes_per_s
        yield from _borders(
            "leaf", under_leaf, tier="spine", bytes_per_s=rate, latency_s=plan.switch_latency_s, share=share
        )
    if plan.cores_per_plane:
        pods_D = [[plan.pod_L[leaf] for leaf in leaves] for leaves in leaves_D]
        in_pod = _grouped([(pod, device) for device, pods in enumerate(pods_D) for pod in pods])
        rate = plan.n_spines * plan.spine_up_bytes_per_s
        share = pods_D[0].count(pods_D[0][0]) / n_nics
        yield from _borders("pod", in_pod, tier="core", bytes_per_s=rate, latency_s=plan.switch_latency_s, share=share)


def _grouped(pairs: list[tuple[int, int]]) -> Groups:
    """Return group → its devices, each once, both ascending."""
    groups: dict[int, dict[int, None]] = defaultdict(dict)
    for group, device in pairs:
        groups[group][device] = None
    return {group: tuple(groups[group]) for group in sorted(groups)}


def _borders(
    name: str,
    groups: Groups,
    *,
    tier: Literal["pcie", "nic", "spine", "core"],
    bytes_per_s: float,
    latency_s: float,
    scope: Literal["node", "fabric"] = "fabric",
    share: float = 1.0,
) -> Iterator[SharedLink]:
    directions: tuple[Literal["up", "down"], ...] = ("up", "down")
    for group, devices in groups.items():
        for direction in directions:
            yield SharedLink(
                name=f"{name}{group}.{direction}",
                tier=tier,
                direction=direction,
                scope=scope,
                devices=devices,
                share=share,
                bytes_per_s=bytes_per_s,
                latency_s=latency_s,
            )
