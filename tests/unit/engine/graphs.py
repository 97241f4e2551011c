"""Activity graphs for properties: random streams, waits, demands and groups, on which no deadlock is possible.

Only a kernel that holds SMs while it waits for other ranks can make others wait for ever; all of those stand on one
stream, in one order for all ranks, as in every schedule of ours. C rank classes.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from toy import CAPACITIES, op

from simulator.engine.plan import alone_s
from simulator.resources import Activity

STREAMS = ("main", "comm", "side")


@st.composite
def activity_graphs(draw: st.DrawFn) -> tuple[list[Activity], int]:
    """A list of activities in issue order and the number of rank classes."""
    n_classes = draw(st.integers(1, 3))
    ops: list[Activity] = []
    for i in range(draw(st.integers(1, 12))):
        stream = draw(st.sampled_from(STREAMS))
        deps = draw(st.lists(st.integers(0, i - 1), max_size=2, unique=True)) if i else []
        grouped = draw(st.booleans())
        holds = draw(st.booleans()) and (stream == "comm" or not grouped)
        group = draw(st.lists(st.integers(0, 1), min_size=n_classes, max_size=n_classes)) if grouped else None
        amounts = {
            name: draw(_per_class(n_classes, scale)) for name, scale in
            (("mflop", 1.0), ("hbm", 1e3), ("egress", 1e3), ("ingress", 1e3))
        }  # fmt: skip
        sms = draw(st.integers(1, 12)) if holds or np.any(amounts["mflop"]) else draw(st.sampled_from([0, 3]))
        ops.append(
            op(
                stream, deps, **amounts, sms=sms, holds=holds, group=group, n_classes=n_classes,
                latency_us=draw(st.sampled_from([0.0, 0.0, 0.7, 2.0])),
                tail_us=draw(st.sampled_from([0.0, 1.0])) if grouped else 0.0,
            )
        )  # fmt: skip
    return ops, n_classes


def _per_class(n_classes: int, scale: float) -> st.SearchStrategy[list[float]]:
    some = st.lists(st.integers(0, 5).map(lambda n: n * scale), min_size=n_classes, max_size=n_classes)
    return st.one_of(st.just([0.0] * n_classes), some)


def repeated(activities: Sequence[Activity], n_classes: int, *, groups_apart: bool) -> list[Activity]:
    """Every class twice: its twin in the same groups, or in groups of the twins' own."""
    twins = []
    for activity in activities:
        d = activity.demand
        shift = 10 if groups_apart else 0
        demand = replace(
            d,
            latency_s_C=np.tile(d.latency_s_C, 2),
            sm_s_C=np.tile(d.sm_s_C, 2),
            bytes_C={name: np.tile(b, 2) for name, b in d.bytes_C.items()},
            group_C=None if d.group_C is None else np.concatenate([d.group_C, d.group_C + shift]),
        )
        twins.append(replace(activity, demand=demand))
    return twins


def chain_bound_s(activities: Sequence[Activity], n_classes: int) -> float:
    """The longest chain of waits, every op at its time alone [s]."""
    end_OC = np.zeros((len(activities), n_classes))
    last: dict[str, int] = {}
    for i, a in enumerate(activities):
        before = [*a.deps, *([last[a.stream]] if a.stream in last else [])]
        ready_C = np.max([end_OC[j] for j in before], axis=0) if before else np.zeros(n_classes)
        own_C = ready_C + a.demand.latency_s_C + alone_s(a.demand, CAPACITIES)
        if a.demand.group_C is not None:
            own_C = np.array([own_C[a.demand.group_C == g].max() for g in a.demand.group_C]) + a.demand.tail_latency_s
        end_OC[i], last[a.stream] = own_C, i
    return float(end_OC.max(initial=0.0))


def resource_bound_s(activities: Sequence[Activity]) -> float:
    """The time that the busiest resource of any rank needs for all that is asked of it [s]."""
    totals = [sum(a.demand.sm_s_C for a in activities) / CAPACITIES.n_sms]
    for name, rate in CAPACITIES.bytes_per_s.items():
        totals.append(sum(a.demand.bytes_C.get(name, 0.0) for a in activities) / rate)
    return float(np.max(totals))
