"""The static part of a run, as plain lists: stream order, cross-stream waits, groups and demands alone.

O ops, C rank classes, S streams. Plain lists and ints because the engine's inner loop reads them once per op and rank.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.resources import Activity, Capacities, Demand
from workloads.ops import FloatArray


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the engine follows. Per op: its stream, the next op of that stream (-1: none), how many ops of other
    streams it waits for, and which ops of other streams wait for it. `demand_of_O` indexes `demands`; `names_O` are
    for messages."""

    n_classes: int
    n_streams: int
    stream_of_O: list[int]
    next_of_O: list[int]
    n_waits_O: list[int]
    waiters_of_O: list[tuple[int, ...]]
    demand_of_O: list[int]
    demands: list[Demand]
    first_of_S: list[int]
    names_O: list[str]


@dataclass(frozen=True, kw_only=True)
class Times:
    """When each op began and ended on each rank class, and how long it waited for other ranks [s], (O, C)."""

    start_OC: FloatArray
    end_OC: FloatArray
    wait_OC: FloatArray


def make_plan(activities: Sequence[Activity], n_classes: int) -> Plan:
    """Return the plan of `activities`, given in issue order; raises ValueError on a dependency that comes later."""
    streams: dict[str, int] = {}
    last_of_stream: dict[int, int] = {}
    demand_ids: dict[int, int] = {}
    demands: list[Demand] = []
    stream_of, demand_of, next_of, n_waits = [], [], [-1] * len(activities), [0] * len(activities)
    waiters: list[list[int]] = [[] for _ in activities]
    for op, activity in enumerate(activities):
        stream = streams.setdefault(activity.stream, len(streams))
        stream_of.append(stream)
        if stream in last_of_stream:
            next_of[last_of_stream[stream]] = op
        last_of_stream[stream] = op
        if id(activity.demand) not in demand_ids:
            demand_ids[id(activity.demand)] = len(demands)
            demands.append(activity.demand)
        demand_of.append(demand_ids[id(activity.demand)])
        for dep in activity.deps:
            if not 0 <= dep < op:
                msg = f"op {op} waits for op {dep}, which does not come before it"
                raise ValueError(msg)
            if stream_of[dep] != stream:  # on its own stream order already makes it wait
                n_waits[op] += 1
                waiters[dep].append(op)
    first_of_S = [stream_of.index(stream) for stream in range(len(streams))]
    return Plan(
        n_classes=n_classes,
        n_streams=len(streams),
        stream_of_O=stream_of,
        next_of_O=next_of,
        n_waits_O=n_waits,
        waiters_of_O=[tuple(w) for w in waiters],
        demand_of_O=demand_of,
        demands=demands,
        first_of_S=first_of_S,
        names_O=[f"{op} ({a.name})" if a.name else str(op) for op, a in enumerate(activities)],
    )


def alone_s(demand: Demand, capacities: Capacities) -> FloatArray:
    """Return the seconds that the working part of a demand takes on an idle device, (C,): the scarcest resource."""
    granted = min(demand.sms, capacities.n_sms)
    times_C = demand.sm_s_C / granted if granted else np.zeros_like(demand.latency_s_C)
    for resource, bytes_C in demand.bytes_C.items():
        times_C = np.maximum(times_C, bytes_C / capacities.bytes_per_s[resource])
    return times_C


def times_of(plan: Plan, start_OC: FloatArray, end_OC: FloatArray, own_end_OC: FloatArray) -> Times:
    """Return the times of a run; ranks wait from the end of their own part to the group's, less its tail."""
    demands = [plan.demands[d] for d in plan.demand_of_O]
    tail_O1 = np.array([d.tail_latency_s for d in demands])[:, None]
    grouped_O1 = np.array([d.group_C is not None for d in demands])[:, None]
    wait_OC = np.where(grouped_O1, np.maximum(end_OC - own_end_OC - tail_O1, 0.0), 0.0)
    return Times(start_OC=start_OC, end_OC=end_OC, wait_OC=wait_OC)
