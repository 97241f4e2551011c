"""The arithmetic of a fabric: which NIC, leaf and pod a device belongs to, how many switches there are, their rates."""

from dataclasses import dataclass
from math import ceil

from hw_profiles.faults import Fault, InputFaults
from hw_profiles.schema import HardwareProfile

# NVIDIA QM9700 and its like; with half of the ports down, 32 nodes of 8 rails make one DGX SuperPOD scalable unit
# (NVIDIA DGX SuperPOD reference architecture, H100).
PORTS_PER_SWITCH = 64


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The first devices of a machine in its fabric, in numbers; rates are what payload reaches [bytes/s].

    `nics_D`: NICs of each device; `leaf_N`: leaf of each NIC; `pod_L`: pod of each leaf. A pod has `n_spines`, each
    joined to all its leaves; the spines of one place in all pods form a plane with `cores_per_plane` cores (0 where
    there is one pod). `leaf_up_bytes_per_s` and `spine_up_bytes_per_s`: all uplinks of one leaf, of one spine.
    """

    nics_D: tuple[tuple[int, ...], ...]
    leaf_N: tuple[int, ...]
    pod_L: tuple[int, ...]
    n_spines: int
    cores_per_plane: int
    nic_bytes_per_s: float
    leaf_up_bytes_per_s: float
    spine_up_bytes_per_s: float
    switch_latency_s: float

    @property
    def n_pods(self) -> int:
        """How many pods have devices."""
        return self.pod_L[-1] + 1

    def leaves_of(self, device: int) -> list[int]:
        """Return the leaves that the NICs of a device hang on, one per NIC."""
        return [self.leaf_N[nic] for nic in self.nics_D[device]]


def check_n_devices(profile: HardwareProfile, n_devices: int) -> None:
    """Raise InputFaults if the fabric does not hold so many devices."""
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


def plan_fabric(profile: HardwareProfile, n_devices: int) -> Plan:
    """Return where the first `n_devices` stand in the fabric of a machine with more than one node."""
    fabric, nic = profile.fabric, profile.tiers["nic"]
    per_nic, per_device = fabric.devices_per_nic or 1, fabric.nics_per_device or 1
    nics_D = tuple(
        tuple(range(device // per_nic * per_device, (device // per_nic + 1) * per_device))
        for device in range(n_devices)
    )
    ports = fabric.ports_per_switch or PORTS_PER_SWITCH
    nics_per_node = profile.node.n_devices * per_device // per_nic
    places = [_leaf_place(profile, nic_number, nics_per_node, ports) for nic_number in range(nics_D[-1][-1] + 1)]
    numbers = {place: number for number, place in enumerate(sorted(set(places)))}
    three_layers = fabric.n_layers == 3
    leaves_per_pod = (fabric.leaves_per_pod or ports // 2) if three_layers else len(numbers)
    pod_L = tuple(leaf // leaves_per_pod for leaf in range(len(numbers)))
    nic_bytes_per_s = nic.bytes_per_s * nic.efficiency * per_nic / per_device
    # A leaf is counted whole, also where the last nodes leave some of its ports free.
    leaf_ports = ports // 2 if fabric.kind == "rail_fat_tree" else max(ports // 2, nics_per_node)
    in_pod = min(leaves_per_pod, len(numbers))
    spine_ports = ports // 2 if pod_L[-1] else ports
    n_spines = max(1, ceil(in_pod * leaf_ports / fabric.oversubscription / spine_ports)) if len(numbers) > 1 else 0
    leaf_up = leaf_ports * nic_bytes_per_s / fabric.oversubscription
    spine_up = leaf_up * in_pod / max(1, n_spines) / (fabric.core_oversubscription or 1.0)
    n_pods = pod_L[-1] + 1
    return Plan(
        nics_D=nics_D,
        leaf_N=tuple(numbers[place] for place in places),
        pod_L=pod_L,
        n_spines=n_spines,
        cores_per_plane=max(1, ceil(n_pods * spine_up / nic_bytes_per_s / ports)) if n_pods > 1 else 0,
        nic_bytes_per_s=nic_bytes_per_s,
        leaf_up_bytes_per_s=leaf_up,
        spine_up_bytes_per_s=spine_up,
        switch_latency_s=fabric.switch_latency_s or 0.0,
    )


def _leaf_place(profile: HardwareProfile, nic: int, nics_per_node: int, ports: int) -> tuple[int, int]:
    """Return (group of nodes, leaf within the group) of a NIC."""
    node, rail = divmod(nic, nics_per_node)
    if profile.fabric.kind == "rail_fat_tree":
        return node // (ports // 2), rail
    return node // max(1, ports // 2 // nics_per_node), 0
