"""What one piece of work costs on a machine: its demand, what binds it alone, and where the figures come from.

C rank classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from hw_profiles.curves.base import Chip
from hw_profiles.fitted import Fitted, FittedCurve
from hw_profiles.schema import HardwareProfile
from simulator.borders import SharedBorder, lane_bytes_per_s, shared_borders
from simulator.resources import Capacities, Demand
from workloads.ops import FloatArray, Work


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A profile as costs read it: how many devices take part, the launch mode, the SMs that compute may take, and the
    curves fitted on measurements (empty: rooflines throughout). `interference`: which all-to-alls lose pace beside
    compute by the fitted shares: "normal" kernels, where it was measured, "all", or none ("off"). `backend`: whose
    kernels to take where several were measured."""

    profile: HardwareProfile
    n_devices: int
    launch: str
    compute_sms: int
    fitted: Fitted = field(default_factory=dict)
    interference: str = "normal"
    backend: str = "sglang"

    @property
    def launch_gap_s(self) -> float:
        """Idle time on a stream before each kernel [s]."""
        launch = self.profile.launch
        return launch.graph_gap_s if self.launch == "graph" else launch.eager_gap_s

    @cached_property
    def chip(self) -> Chip:
        """The datasheet limits that curves take."""
        tiers, device = self.profile.tiers, self.profile.device
        return Chip(
            n_sms=device.n_sms,
            hbm_bytes_per_s=device.hbm_bytes_per_s,
            peak_flops_per_s=device.peak_flops_per_s,
            nvlink_bytes_per_s=tiers["nvlink"].bytes_per_s,
            nic_bytes_per_s=tiers["nic"].bytes_per_s if "nic" in tiers else tiers["nvlink"].bytes_per_s,
        )

    @cached_property
    def borders(self) -> Mapping[str, SharedBorder]:
        """The shared links that can bind, by name."""
        return {shared.border.name: shared for shared in shared_borders(self.profile, self.n_devices)}

    @property
    def one_node(self) -> bool:
        """Whether all devices share a node."""
        return self.n_devices <= self.profile.node.n_devices


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The demand of one piece of work; per class what binds it when alone (`bound_C`: a resource, "flops" or
    "latency") and the source of that figure; `sent_bytes`: tier to payload sent (C,); `tier`: slowest tier crossed.
    `curve`: the fitted curve that priced it, if one did, and `beyond_C`: how far outside its measured range, in
    doublings (0 inside)."""

    demand: Demand
    bound_C: Sequence[str]
    source_C: Sequence[str]
    sent_bytes: Mapping[str, FloatArray]
    tier: str
    curve: FittedCurve | None = None
    beyond_C: FloatArray | None = None


def capacities(machine: Machine) -> Capacities:
    """Return what one device offers [bytes/s], payload efficiency included, and what the links offer that its group
    shares with others: of these an op claims what the whole group moves.
    """
    profile = machine.profile
    rates = {"hbm": profile.device.hbm_bytes_per_s * profile.efficiency.hbm, "l2": profile.device.l2_bytes_per_s}
    for name in profile.tiers:
        rates[f"{name}.egress"] = rates[f"{name}.ingress"] = lane_bytes_per_s(profile, name)
    for name, shared in machine.borders.items():
        rates[f"{name}.egress"] = rates[f"{name}.ingress"] = shared.bytes_per_s
    return Capacities(n_sms=profile.device.n_sms, bytes_per_s=rates)


# Where the figure behind each binding resource stands in a profile.
_FIGURE = {
    "hbm": "efficiency.hbm",
    "l2": "device.l2_bytes_per_s",
    "nvlink.egress": "tiers.nvlink.efficiency",
    "nvlink.ingress": "tiers.nvlink.efficiency",
    "nic.egress": "tiers.nic.efficiency",
    "nic.ingress": "tiers.nic.efficiency",
}


def _figure_of(resource: str) -> str:
    """Where the figure behind a binding resource stands; of shared links, what their rate is derived from."""
    inside = resource.partition(".")[0] in {"bridge", "root"}
    return _FIGURE.get(resource, "node.bridges.bytes_per_s" if inside else "fabric.oversubscription")


def finish_cost(machine: Machine, work: Work, demand: Demand, *, tier: str = "", latency_figure: str = "") -> Cost:
    """Return the cost around a demand: find what binds it on each class, and who says so."""
    offered = capacities(machine)
    names, times = ["latency"], [demand.latency_s_C + demand.tail_latency_s]
    if np.any(demand.sm_s_C > 0.0):
        names.append("flops")
        times.append(demand.sm_s_C / min(demand.sms, offered.n_sms))
    for resource, bytes_C in demand.bytes_C.items():
        names.append(resource)
        times.append(bytes_C / offered.bytes_per_s[resource])
    bound_C = [names[i] for i in np.argmax(np.stack(times), axis=0)]
    figures = {
        **{name: _figure_of(name) for name in names},
        "flops": f"efficiency.{work.kernel}.{work.precision}",
        "latency": latency_figure,
    }
    if not latency_figure:
        figures["latency"] = f"launch.{machine.launch}_gap_s"
    provenance = machine.profile.provenance
    source_of = {name: provenance[figures[name]].source if figures[name] in provenance else "assumed" for name in names}
    return Cost(
        demand=demand,
        bound_C=bound_C,
        source_C=[source_of[bound] for bound in bound_C],
        sent_bytes={},
        tier=tier,
    )
