"""Op to cost, by kernel family: the only place that knows both what is computed and what the machine is."""

from collections.abc import Callable, Sequence

from simulator.costs.communication import communication_cost
from simulator.costs.compute import compute_cost
from simulator.costs.cost import Cost, Machine
from simulator.costs.exchange import exchange_cost
from simulator.costs.measured import from_curve
from workloads.graph import OpGraph
from workloads.ops import COMMUNICATION_KERNELS, Work


def cost_of(work: Work, machine: Machine) -> Cost:
    """Return the cost of one piece of work on a machine: by its fitted curve where there is one, else the roofline."""
    roofline = _price_of(work)(work, machine)
    return from_curve(work, machine, roofline) if machine.fitted else roofline


def _price_of(work: Work) -> Callable[[Work, Machine], Cost]:
    if work.kernel == "exchange":
        return exchange_cost
    return communication_cost if work.kernel in COMMUNICATION_KERNELS else compute_cost


def costs_of(graph: OpGraph, machine: Machine) -> Sequence[Cost]:
    """Return the cost of every op, in issue order; ops that share their work share its cost."""
    known: dict[int, Cost] = {}
    costs = []
    for op in graph.ops:
        key = id(op.work)
        if key not in known:
            known[key] = cost_of(op.work, machine)
        costs.append(known[key])
    return costs
