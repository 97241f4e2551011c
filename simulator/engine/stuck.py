"""Ops that never end: which ones, and what each of them waits for."""

from collections.abc import Sequence

from simulator.engine.devices import FLUID, HOLDING, Device, Group, Lane
from simulator.engine.plan import Plan

_MOST = 4  # ops that a message names


def check_finished(plan: Plan, devices: Sequence[Device], group_of: Sequence[list[Group] | None]) -> None:
    """Raise RuntimeError if an op has not ended though nothing is left to happen; it names ops and what they lack."""
    stuck = [lane for device in devices for lane in device.lanes if lane.head >= 0]
    if not stuck:
        return
    begun = [lane for lane in stuck if lane.op == lane.head]  # the others only wait for these
    reasons = [
        f"op {plan.names_O[lane.op]} of rank class {lane.device.index} waits for "
        + _lacks(plan, devices, group_of, lane)
        for lane in begun[:_MOST]
    ]
    more = f"; and {len(begun) - _MOST} more" if len(begun) > _MOST else ""
    msg = f"ops wait for one another for ever: {'; '.join(reasons)}{more}"
    raise RuntimeError(msg)


def _lacks(plan: Plan, devices: Sequence[Device], group_of: Sequence[list[Group] | None], lane: Lane) -> str:
    if lane.state == FLUID:
        holders = [plan.names_O[other.op] for other in lane.device.running if other.state == HOLDING]
        return f"{plan.demands[lane.demand].sms} SMs while op {' and op '.join(holders)} holds its own"
    groups = group_of[lane.op]
    assert groups is not None, "an op that has worked waits for its group only"
    group = groups[lane.device.index]
    here = {member.device.index for member in group.arrived}
    absent = [d.index for d in devices if groups[d.index] is group and d.index not in here]
    return f"rank classes {', '.join(map(str, absent))} to get as far"
