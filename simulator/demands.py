"""Op to cost, by kernel family: the only place that knows both what is computed and what the machine is."""

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from simulator.costs.communication import communication_cost
from simulator.costs.compute import compute_cost
from simulator.costs.cost import Cost, Machine
from simulator.costs.exchange import exchange_cost
from simulator.costs.measured import from_curve
from workloads.graph import OpGraph
from workloads.ops import COMMUNICATION_KERNELS, Traffic, Work


def cost_of(work: Work, machine: Machine) -> Cost:
    """Return the cost of one piece of work on a machine: by its fitted curve where there is one, else the roofline."""
    roofline = _price_of(work)(work, machine)
    return from_curve(work, machine, roofline) if machine.fitted else roofline


def _price_of(work: Work) -> Callable[[Work, Machine], Cost]:
    if work.kernel == "exchange":
        return exchange_cost
    return communication_cost if work.kernel in COMMUNICATION_KERNELS else compute_cost


def costs_of(graph: OpGraph, machine: Machine, known: "KnownCosts | None" = None) -> Sequence[Cost]:
    """Return the cost of every op, in issue order; ops that share their work share its cost. `known`: of earlier
    graphs on machines of the same profile and curves, added to."""
    price = known.cost_of if known is not None else cost_of
    of_work: dict[int, Cost] = {}
    costs = []
    for op in graph.ops:
        key = id(op.work)
        if key not in of_work:
            of_work[key] = price(op.work, machine)
        costs.append(of_work[key])
    return costs


class KnownCosts:
    """Costs of work that came before: steps of many layouts and schedules have most of their ops in common."""

    def __init__(self) -> None:
        self._costs: dict[Hashable, Cost] = {}

    def cost_of(self, work: Work, machine: Machine) -> Cost:
        """Return the cost of one piece of work on a machine."""
        on = (machine.n_devices, machine.launch, machine.compute_sms, machine.interference, machine.backend)
        key = (on, _amounts(work))
        known = self._costs.get(key)
        if known is None:
            known = self._costs[key] = cost_of(work, machine)
        return known


def _amounts(work: Work) -> Hashable:
    """All that a cost follows from, by value."""
    arrays = (work.flops_C, work.hbm_bytes_C, work.activation_bytes_C)
    rows = None if work.rows_CX is None else work.rows_CX.tobytes()
    shape = tuple((name, np.asarray(value).tobytes()) for name, value in work.shape.items())
    traffic = None if work.traffic is None else _moved(work.traffic)
    words = (work.kind, work.kernel, work.precision, work.variant)
    return (words, tuple(a.tobytes() for a in arrays), rows, shape, traffic)


def _moved(traffic: Traffic) -> Hashable:
    tables = (traffic.sent_C, traffic.received_C, traffic.border_out_C, traffic.border_in_C)
    moved = tuple((name, bytes_C.tobytes()) for table in tables for name, bytes_C in table.items())
    return (moved, traffic.local_C.tobytes(), traffic.group_C.tobytes())
