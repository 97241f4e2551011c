"""What no schedule can beat: the longest chain of waits, and the busiest resource.

O ops, C rank classes.
"""

import numpy as np

from simulator.costs.cost import capacities
from simulator.engine.plan import alone_s
from simulator.simulate import Run
from workloads.ops import FloatArray, IntArray


def critical_path_bound_s(run: Run) -> float:
    """Return the longest chain through dependencies, stream order and groups with every op at its time alone [s]."""
    offered = capacities(run.machine)
    end_OC = np.zeros((len(run.graph.ops), run.graph.n_classes))
    last_of_stream: dict[str, int] = {}
    for i, op in enumerate(run.graph.ops):
        waits_for = [*op.deps, *([last_of_stream[op.stream]] if op.stream in last_of_stream else [])]
        ready_C = end_OC[waits_for].max(axis=0) if waits_for else np.zeros(run.graph.n_classes)
        demand = run.costs[i].demand
        own_C = ready_C + demand.latency_s_C + alone_s(demand, offered)
        end_OC[i] = own_C if demand.group_C is None else _group_max(own_C, demand.group_C) + demand.tail_latency_s
        last_of_stream[op.stream] = i
    return float(end_OC.max(initial=0.0))


def _group_max(values_C: FloatArray, group_C: IntArray) -> FloatArray:
    highest = np.full(int(group_C.max()) + 1, -np.inf)
    np.maximum.at(highest, group_C, values_C)
    return np.asarray(highest[group_C])


def busiest_resource_bound_s(run: Run) -> float:
    """Return the largest time that any resource of any rank needs for all that is asked of it [s]."""
    offered = capacities(run.machine)
    totals = {name: np.zeros(run.graph.n_classes) for name in [*offered.bytes_per_s, "sm"]}
    for cost in run.costs:
        totals["sm"] += cost.demand.sm_s_C
        for name, bytes_C in cost.demand.bytes_C.items():
            totals[name] += bytes_C
    times = [totals["sm"] / offered.n_sms]
    times += [totals[name] / rate for name, rate in offered.bytes_per_s.items()]
    return float(np.max(times))
