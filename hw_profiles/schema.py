"""The schema of a machine profile: devices, node, link tiers, efficiencies. SI units, stated in every name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Source = Literal["measured", "fitted", "datasheet", "published", "assumed"]


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where one value comes from: how it was obtained and the document that says so."""

    source: Source
    reference: str


@dataclass(frozen=True, kw_only=True)
class Device:
    """One GPU. Peaks are dense (no sparsity); `peak_flops_per_s` maps a precision to FLOP/s.

    `kind` "cpu": the cores of a processor that serve one rank; `n_sms` counts as many as run one kernel each, and all
    of a kernel's time is theirs, its launch included.
    """

    name: str
    n_sms: int
    hbm_bytes: float
    hbm_bytes_per_s: float
    usable_hbm_share: float
    l2_bytes: float
    l2_bytes_per_s: float
    power_w: float
    usd_per_hour: float
    peak_flops_per_s: Mapping[str, float]
    kind: Literal["gpu", "cpu"] = "gpu"


@dataclass(frozen=True, kw_only=True)
class Bridges:
    """How a PCIe node joins its devices: bridges (PCIe switches or host bridges) under the roots of its sockets.

    Devices under one bridge talk through it; others share the bridge's uplink to the root, and between sockets the
    link that joins each two of them (UPI, Infinity Fabric). Rates are of one direction, before the efficiency of
    tier "nvlink"; each latency is added to that tier's on ways that go over the root, and between sockets.
    """

    devices_per_bridge: int
    bytes_per_s: float
    latency_s: float
    bridges_per_socket: int
    socket_bytes_per_s: float
    socket_latency_s: float


@dataclass(frozen=True, kw_only=True)
class Node:
    """One server. `kind`: "nvlink" joins its devices by a switch without blocking, "pcie" by `bridges`."""

    n_devices: int
    kind: Literal["nvlink", "pcie"] = "nvlink"
    bridges: Bridges | None = None


@dataclass(frozen=True, kw_only=True)
class Tier:
    """One kind of link as a device sees it: its own lane into that tier, one direction.

    `bytes_per_s` is the datasheet rate; `efficiency` the share of it that payload reaches; `latency_s` is paid once
    per message, end to end.
    """

    bytes_per_s: float
    efficiency: float
    latency_s: float


@dataclass(frozen=True, kw_only=True)
class Fabric:
    """How nodes are joined. `oversubscription` is downlink over uplink capacity at the leaf (1 = full bisection).

    A "rail_fat_tree" joins the NICs of one place in many nodes at a leaf, a "fat_tree" all NICs of a few nodes.
    None stands for: two layers (leaf and spine; a third, core, joins pods), switches of 64 ports (half of them down),
    as many leaves in a pod as a spine has ports down, no core oversubscription (downlink over uplink at the spine), no
    latency [s] per switch after the first (the NIC tier holds it), one NIC per device. Of `devices_per_nic` and
    `nics_per_device` one at most is above 1. `tiers["nic"]` is a device's fair share of its NIC, or all its NICs.
    """

    kind: Literal["single_node", "rail_fat_tree", "fat_tree"]
    oversubscription: float
    max_devices: int
    n_layers: int | None = None
    ports_per_switch: int | None = None
    leaves_per_pod: int | None = None
    core_oversubscription: float | None = None
    switch_latency_s: float | None = None
    devices_per_nic: int | None = None
    nics_per_device: int | None = None


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """Shares of the datasheet peak that a well-shaped kernel of each family reaches (0..1], by precision.

    `hidden_weight_reads`: kinds of op that this machine prices by FLOPs alone. Empty on every real machine; a
    theoretical one names the kinds whose weight reads the theory leaves out.
    """

    gemm: Mapping[str, float]
    grouped_gemm: Mapping[str, float]
    attention_decode: Mapping[str, float]
    attention_prefill: Mapping[str, float]
    hbm: float
    hidden_weight_reads: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Idle gap on a stream before each kernel [s]: replayed from a graph, or launched one by one."""

    graph_gap_s: float
    eager_gap_s: float


@dataclass(frozen=True, kw_only=True)
class AllToAll:
    """How the machine's expert all-to-all behaves.

    `low_latency_tiers`: "nic" sends every copy over the NIC, also inside a node (first DeepEP releases);
    "nvlink_and_nic" keeps copies inside a node on NVLink.
    `counts_local_copies`: whether the copies a rank sends to itself load the link as well (as in payload rates quoted
    per token and chosen expert).
    `hooked`: low-latency kernels leave the SMs while bytes fly. SM counts are those held by the kernels.
    `message_s`: what a message of the low-latency kernels to another node takes of its sender's way to the NIC, where
    a proxy on the CPU posts them one by one; None: nothing beside its bytes.
    """

    low_latency_tiers: Literal["nic", "nvlink_and_nic"]
    counts_local_copies: bool
    hooked: bool
    low_latency_sms: int
    normal_sms: int
    message_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class HardwareProfile:
    """A machine: device, node, link tiers ("nvlink" inside a node, "nic" between nodes), fabric, kernel efficiencies.

    "nvlink" stands for whatever joins the devices of a node: NVLink, Infinity Fabric, or PCIe where there is no other.
    `curves_of` names a shipped machine with the same device in the same node, whose kernels' curves hold here too.
    `provenance` maps the dotted path of every number to its source, e.g. "device.hbm_bytes_per_s".
    """

    name: str
    title: str
    device: Device
    node: Node
    tiers: Mapping[str, Tier]
    fabric: Fabric
    efficiency: Efficiency
    launch: Launch
    all_to_all: AllToAll
    curves_of: str = ""
    provenance: Mapping[str, Provenance] = field(default_factory=dict)
