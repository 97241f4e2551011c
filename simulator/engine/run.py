"""The engine's door: activities and capacities in, times out."""

import gc
from collections.abc import Sequence

from simulator.engine.contended import ContendedRun
from simulator.engine.plan import Times, make_plan
from simulator.engine.uncontended import run_uncontended
from simulator.resources import Activity, Capacities


def run(activities: Sequence[Activity], capacities: Capacities, *, n_classes: int, contention: bool = True) -> Times:
    """Return when each activity starts and ends on each rank class [s].

    Activities come in issue order; a stream runs its own in that order, and a head that waits blocks those behind it.
    `contention` false: every activity takes its time alone. Raises RuntimeError when activities wait for one another
    for ever, as kernels do that hold SMs and wait for other ranks in different orders.
    """
    plan = make_plan(activities, n_classes)
    collects = gc.isenabled()
    gc.disable()  # events hold no cycles worth looking for, and there are hundreds of thousands of them
    try:
        return ContendedRun(plan, capacities).run() if contention else run_uncontended(plan, capacities)
    finally:
        if collects:
            gc.enable()
