"""Prices of the PyTorch layers' ops: the curves that were fitted on this machine's own measurements of them.

C rank classes.
"""

from dataclasses import replace

import numpy as np

from hw_profiles.curves.kernel import kernel_s
from hw_profiles.fitted import FittedCurve
from simulator.costs.cost import Cost, Machine, capacities
from simulator.costs.on_curve import Measured, beyond, first_of, made, priced, shared_bytes
from workloads.ops import COMMUNICATION_KERNELS, FloatArray, Work

FAMILY = "torch"


def torch_cost(work: Work, machine: Machine, roofline: Cost) -> Cost:
    """Return the cost by the curve of the op, else by that of its kernel over all ops, else the roofline."""
    if work.kernel in COMMUNICATION_KERNELS:
        return _flight(work, machine, roofline)
    measured = _measured(work, machine)
    if measured is None:
        return roofline
    cost = priced(work, machine, roofline, measured)
    return _on_a_core(cost, measured.seconds_C) if machine.profile.device.kind == "cpu" else cost


def _on_a_core(cost: Cost, seconds_C: FloatArray) -> Cost:
    """On a CPU all of a kernel's time is that of one core, launch and waits for memory included."""
    nothing_C = np.zeros_like(seconds_C)
    return replace(cost, demand=replace(cost.demand, latency_s_C=nothing_C, sm_s_C=seconds_C, sms=1, bytes_C={}))


def _measured(work: Work, machine: Machine) -> Measured | None:
    kernel, _, _ = work.variant.partition("/")
    moved_C = work.hbm_bytes_C + work.activation_bytes_C
    at = {"flops": work.flops_C, "moved_bytes": moved_C}
    at |= {axis: np.full_like(moved_C, np.max(work.shape[axis])) for axis in ("n", "k") if axis in work.shape}
    own = first_of(machine, (FAMILY, f"{work.variant}|{work.precision}"))
    if own is not None and not _is_of_other_widths(own, at):
        return made(own, kernel_s(work.flops_C, moved_C, curve=own.curve), own.curve.floor_s, **at)
    pooled = first_of(machine, (FAMILY, f"{kernel}|{work.precision}"), (FAMILY, f"{work.kernel}|{work.precision}"))
    if pooled is None:
        return None
    return made(pooled, kernel_s(work.flops_C, moved_C, curve=pooled.curve), pooled.curve.floor_s, **at)


def _is_of_other_widths(curve: FittedCurve, at: dict[str, FloatArray]) -> bool:
    """A curve of one op holds for the weights that it was measured with."""
    return any(
        axis in curve.ranges and not curve.ranges[axis][0] <= float(at[axis].max()) <= curve.ranges[axis][1]
        for axis in ("n", "k")
        if axis in at
    )


def _flight(work: Work, machine: Machine, roofline: Cost) -> Cost:
    """An all-to-all between processes: the curve's rate for what the rank sends and receives, its floor as latency."""
    ranks = int(np.max(work.shape["ranks"])) if "ranks" in work.shape else 0
    kernel, _, _ = work.variant.partition("/")
    names = (kernel, work.variant)  # all messages of a kind make a steadier curve than those of one op
    curve = first_of(machine, *((FAMILY, f"{name}|{dtype}|r{ranks}") for name in names for dtype in ("fp32", "bf16")))
    if curve is None or curve.curve.bytes_per_s is None:
        return roofline
    offered = capacities(machine).bytes_per_s
    links = [name for name in roofline.demand.bytes_C if name.partition(".")[0] in machine.profile.tiers]
    bytes_C = {name: roofline.demand.bytes_C[name] / curve.curve.bytes_per_s * offered[name] for name in links}
    sent_C = np.maximum.reduce([roofline.demand.bytes_C[name] for name in links]) if links else work.flops_C
    at = Measured(curve=curve, seconds_C=sent_C, floor_C=sent_C, at={"moved_bytes": sent_C})
    bytes_C |= shared_bytes(roofline.demand, machine)
    demand = replace(roofline.demand, bytes_C=bytes_C, tail_latency_s=curve.curve.floor_s)
    beside = machine.fitted.get(("interference", FAMILY))
    if beside is not None and machine.interference != "off":
        share = beside.curve.dispatch_share if work.kind == "dispatch" else beside.curve.combine_share
        demand = replace(demand, share_beside_compute=share, compute_share=beside.curve.gemm_share)
    return replace(roofline, demand=demand, source_C=["fitted"] * len(sent_C), curve=curve, beyond_C=beyond(at))
