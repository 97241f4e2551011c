"""The arithmetic of a fabric: which NIC, leaf and pod a device belongs to, how many switches there are, their rates."""

from dataclasses import dataclass
from math import ceil

from hw_profiles.faults import Fault, InputFaults
from hw_profiles.schema import Fabric, HardwareProfile

# NVIDIA QM9700 and its like; with half of the ports down, 32 nodes of 8 rails make one DGX SuperPOD scalable unit
# (NVIDIA DGX SuperPOD reference architecture, H100).
PORTS_PER_SWITCH = 64
THREE_LAYERS = 3


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
    ports = fabric.ports_per_switch or PORTS_PER_SWITCH
    nics_per_node = profile.node.n_devices * per_device // per_nic
    nics_D = tuple(
        tuple(range(device // per_nic * per_device, (device // per_nic + 1) * per_device))
        for device in range(n_devices)
    )
    leaf_N = _leaves(fabric, n_nics=nics_D[-1][-1] + 1, nics_per_node=nics_per_node, ports=ports)
    n_leaves = max(leaf_N) + 1
    leaves_per_pod = fabric.leaves_per_pod or ports // 2 if fabric.n_layers == THREE_LAYERS else n_leaves
    pod_L = tuple(leaf // leaves_per_pod for leaf in range(n_leaves))
    # Cables up of one leaf and of one spine, whole leaves and pods, also where the last nodes leave ports free.
    leaf_ports = ports // 2 if fabric.kind == "rail_fat_tree" else max(ports // 2, nics_per_node)
    leaf_cables = leaf_ports / fabric.oversubscription
    pod_cables = leaf_cables * min(leaves_per_pod, n_leaves)
    one_pod = pod_L[-1] == 0
    n_spines = ceil(pod_cables / (ports if one_pod else ports // 2)) if n_leaves > 1 else 0
    spine_cables = 0.0 if one_pod else pod_cables / n_spines / (fabric.core_oversubscription or 1.0)
    nic_bytes_per_s = nic.bytes_per_s * nic.efficiency * per_nic / per_device
    return Plan(
        nics_D=nics_D,
        leaf_N=leaf_N,
        pod_L=pod_L,
        n_spines=n_spines,
        cores_per_plane=ceil((pod_L[-1] + 1) * spine_cables / ports),
        nic_bytes_per_s=nic_bytes_per_s,
        leaf_up_bytes_per_s=leaf_cables * nic_bytes_per_s,
        spine_up_bytes_per_s=spine_cables * nic_bytes_per_s if spine_cables else 0.0,
        switch_latency_s=fabric.switch_latency_s or 0.0,
    )


def _leaves(fabric: Fabric, *, n_nics: int, nics_per_node: int, ports: int) -> tuple[int, ...]:
    """Return the leaf of each NIC: by (group of nodes, place in the node) on rails, else whole nodes together."""
    on_rails = fabric.kind == "rail_fat_tree"
    nodes_together = ports // 2 if on_rails else max(1, ports // 2 // nics_per_node)
    places = [
        (node // nodes_together, rail if on_rails else 0)
        for node, rail in (divmod(nic, nics_per_node) for nic in range(n_nics))
    ]
    numbers = {place: number for number, place in enumerate(sorted(set(places)))}
    return tuple(numbers[place] for place in places)
