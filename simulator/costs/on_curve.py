"""What a fitted curve says of a piece of work, and how that is spread over the resources that its roofline names.

Amounts are the roofline's, scaled so that the op alone, with all SMs free, takes exactly the curve's time: a floor
during which nothing moves, then SM time and bytes in the roofline's proportion. Links that groups of devices share are
left as they are: curves were measured where none of them binds.

C rank classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hw_profiles.fitted import FittedCurve
from simulator.costs.communication import border_latency_s
from simulator.costs.compute import grid_sms
from simulator.costs.cost import Cost, Machine, capacities
from simulator.resources import Demand
from workloads.ops import FloatArray, Work


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a curve says of a piece of work: seconds alone, the floor among them, and its place on the curve's axes."""

    curve: FittedCurve
    seconds_C: FloatArray
    floor_C: FloatArray
    at: Mapping[str, FloatArray]


def first_of(machine: Machine, *names: tuple[str, str]) -> FittedCurve | None:
    """Return the first of the machine's curves with one of `names`, (family, group)."""
    return next((machine.fitted[name] for name in names if name in machine.fitted), None)


def made(curve: FittedCurve, seconds_C: FloatArray, floor_s: float, **at: FloatArray) -> Measured:
    """Return what `curve` says; the floor is never more than the whole."""
    seconds_C = np.asarray(seconds_C, dtype=float)
    floor_C = np.minimum(np.full_like(seconds_C, floor_s), seconds_C)
    return Measured(curve=curve, seconds_C=seconds_C, floor_C=floor_C, at=at)


def priced(work: Work, machine: Machine, roofline: Cost, measured: Measured) -> Cost:
    """Return the roofline's cost with its amounts scaled to what the curve says."""
    demand, offered = roofline.demand, capacities(machine)
    fluid_C = np.maximum(measured.seconds_C - measured.floor_C, 0.0)
    alone_C = demand.sm_s_C / max(grid_sms(work, offered.n_sms), 1)  # curves are measured with all SMs free
    shared = shared_bytes(demand, machine)
    own = {name: bytes_C for name, bytes_C in demand.bytes_C.items() if name not in shared}
    for resource, bytes_C in own.items():
        alone_C = np.maximum(alone_C, bytes_C / offered.bytes_per_s[resource])
    scale_C = np.divide(fluid_C, alone_C, out=np.ones_like(fluid_C), where=alone_C > 0.0)
    return replace(
        roofline,
        demand=replace(
            demand,
            latency_s_C=np.where(alone_C > 0.0, measured.floor_C, measured.seconds_C),
            sm_s_C=demand.sm_s_C * scale_C,
            bytes_C={**demand.bytes_C, **{resource: bytes_C * scale_C for resource, bytes_C in own.items()}},
            # a measured time has the latency of its last message in it, but not that of borders on the way
            tail_latency_s=border_latency_s(work.traffic, machine) if work.traffic else 0.0,
        ),
        source_C=["published" if measured.curve.family == "elementwise" else "fitted"] * len(fluid_C),
        curve=measured.curve,
        beyond_C=beyond(measured),
    )


def beyond(measured: Measured) -> FloatArray:
    """Return how far each class lies outside the measured range, in doublings along its farthest axis (0 inside)."""
    beyond_C = np.zeros(len(measured.seconds_C))
    for axis, (low, high) in measured.curve.ranges.items():
        if axis in measured.at and low > 0.0:
            at_C = np.maximum(measured.at[axis], 1e-9)
            beyond_C = np.maximum(beyond_C, np.maximum(np.log2(low / at_C), np.log2(at_C / high)))
    return beyond_C


def shared_bytes(demand: Demand, machine: Machine) -> dict[str, FloatArray]:
    """Return the part of a demand that lies on links which groups of devices share."""
    return {name: bytes_C for name, bytes_C in demand.bytes_C.items() if name.partition(".")[0] in machine.borders}
