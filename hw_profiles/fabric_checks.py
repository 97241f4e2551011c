"""What no node and no fabric can be: named checks of how devices, bridges, NICs and switches share out."""

from collections.abc import Iterator

from hw_profiles.faults import Fault
from hw_profiles.schema import HardwareProfile


def check_for_bridges_out_of_place(profile: HardwareProfile) -> Iterator[Fault]:
    """A PCIe node without bridges, bridges in another node, or bridges that devices do not fill evenly."""
    node = profile.node
    if (node.kind == "pcie") != (node.bridges is not None):
        yield Fault(
            field="node.bridges",
            got="nothing" if node.bridges is None else f"bridges in a node of kind {node.kind!r}",
            allowed='[node.bridges] with kind = "pcie", and only there',
            remedy='add [node.bridges], or leave kind = "pcie" out'
            if node.bridges is None
            else 'write kind = "pcie", or delete [node.bridges]',
        )
    elif node.bridges and _leaves_over(node.n_devices, node.bridges.devices_per_bridge):
        yield _uneven("node.bridges.devices_per_bridge", node.bridges.devices_per_bridge, node.n_devices)


def check_for_nics_that_do_not_divide(profile: HardwareProfile) -> Iterator[Fault]:
    """NICs that a node cannot share out evenly, or the NICs of one device in two pods."""
    fabric = profile.fabric
    per_nic, per_device = fabric.devices_per_nic or 1, fabric.nics_per_device or 1
    if per_nic > 1 and per_device > 1:
        yield Fault(
            field="fabric.nics_per_device",
            got=f"{per_device} beside devices_per_nic = {per_nic}",
            allowed="one of the two above 1",
            remedy="delete the other",
        )
    if _leaves_over(profile.node.n_devices, per_nic):
        yield _uneven("fabric.devices_per_nic", per_nic, profile.node.n_devices)
    if fabric.n_layers == 3 and fabric.leaves_per_pod and _leaves_over(fabric.leaves_per_pod, per_device):
        yield Fault(
            field="fabric.leaves_per_pod",
            got=str(fabric.leaves_per_pod),
            allowed=f"multiples of fabric.nics_per_device = {per_device}",
            remedy="keep the NICs of a device in one pod",
        )


def _leaves_over(whole: int, part: int) -> bool:
    return part > 0 and whole % part != 0


def _uneven(field: str, got: int, n_devices: int) -> Fault:
    return Fault(
        field=field,
        got=str(got),
        allowed=f"divisors of node.n_devices = {n_devices}",
        remedy="give every one the same number of devices",
    )
