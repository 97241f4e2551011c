"""Run an op graph on a machine: `simulate` returns times, costs and the timeline.

O ops, C rank classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hw_profiles.fitted import Fitted
from hw_profiles.schema import HardwareProfile
from simulator.costs.cost import Cost, Machine, capacities
from simulator.demands import KnownCosts, costs_of
from simulator.engine.plan import Times
from simulator.engine.run import run
from simulator.resources import Activity
from simulator.timeline import TIMELINE_COLUMNS
from workloads.graph import OpGraph
from workloads.ops import COMMUNICATION_KERNELS, FloatArray, Op


@dataclass(frozen=True, kw_only=True)
class Run:
    """One simulated step: the graph, the machine it ran on, what each op cost alone and when it ran."""

    graph: OpGraph
    machine: Machine
    costs: Sequence[Cost]
    times: Times

    @cached_property
    def timeline(self) -> pd.DataFrame:
        """One row per op and rank class; columns of `simulator.timeline`."""
        return _timeline(self)


def simulate(
    graph: OpGraph,
    profile: HardwareProfile,
    *,
    launch: str = "graph",
    contention: bool = True,
    compute_sms: int = 0,
    fitted: Fitted | None = None,
    interference: str = "normal",
    backend: str = "sglang",
    known: KnownCosts | None = None,
) -> Run:
    """Return the run of `graph` on `profile`.

    `launch`: "graph" or "eager" gaps before each kernel. `contention` false: no op slows another. `compute_sms`: SMs
    that compute kernels take at most (0: all). `fitted`: curves that price the kernels they know (None: rooflines).
    `interference`: all-to-alls that lose pace beside compute by its fitted shares: "normal" kernels, "all" or "off".
    `backend`: whose kernels to take where several were measured. `known`: costs of earlier graphs with the same
    profile and curves, added to.
    """
    sms = min(compute_sms or profile.device.n_sms, profile.device.n_sms)
    machine = Machine(
        profile=profile,
        n_devices=graph.n_ranks,
        launch=launch,
        compute_sms=sms,
        fitted=fitted or {},
        interference=interference,
        backend=backend,
    )
    costs = costs_of(graph, machine, known)
    activities = [
        Activity(stream=op.stream, deps=op.deps, demand=cost.demand, name=op.name)
        for op, cost in zip(graph.ops, costs, strict=True)
    ]
    times = run(activities, capacities(machine), n_classes=graph.n_classes, contention=contention)
    return Run(graph=graph, machine=machine, costs=costs, times=times)


def _timeline(run_: Run) -> pd.DataFrame:
    graph, n = run_.graph, run_.graph.n_classes
    moved_OC = np.stack([_bytes_of(op, cost) for op, cost in zip(graph.ops, run_.costs, strict=True)])
    flops_OC = np.stack([op.work.flops_C for op in graph.ops])
    columns = {
        "device": np.tile(graph.rank_C, len(graph.ops)),
        "rank": np.tile(graph.rank_C, len(graph.ops)),
        "stream": _words([op.stream for op in graph.ops], n),
        "op_id": np.repeat(np.arange(len(graph.ops)), n),
        "op": _words([op.name for op in graph.ops], n),
        "kind": _words([op.work.kind for op in graph.ops], n),
        "layer": np.repeat([op.layer for op in graph.ops], n),
        "start_s": run_.times.start_OC.ravel(),
        "end_s": run_.times.end_OC.ravel(),
        "wait_s": run_.times.wait_OC.ravel(),
        "flops": flops_OC.ravel(),
        "bytes": moved_OC.ravel(),
        "tier": _words([cost.tier for cost in run_.costs], n),
        "n_alike": np.tile(graph.n_alike_C, len(graph.ops)),
        "source": pd.Categorical([source for cost in run_.costs for source in cost.source_C]),
        "extrapolated": np.concatenate([_extrapolated(cost, n) for cost in run_.costs]),
    }
    return pd.DataFrame(columns)[list(TIMELINE_COLUMNS)]


def _extrapolated(cost: Cost, n_classes: int) -> NDArray[np.bool_]:
    return np.zeros(n_classes, dtype=bool) if cost.beyond_C is None else cost.beyond_C > 0.0


def with_shapes(run_: Run) -> pd.DataFrame:
    """Return the timeline with one more column: the kernel's shape on that rank, such as "m=192 n=24576 k=6144"."""
    texts = []
    for op in run_.graph.ops:
        shape = {name: np.broadcast_to(value, run_.graph.n_classes) for name, value in op.work.shape.items()}
        texts += [" ".join(f"{name}={v[c]:g}" for name, v in shape.items()) for c in range(run_.graph.n_classes)]
    return run_.timeline.assign(shape=pd.Categorical(texts))


def _words(words: Sequence[str], n_classes: int) -> "pd.Categorical[str]":
    codes, names = pd.factorize(np.array(words, dtype=object))
    return pd.Categorical.from_codes(np.repeat(codes, n_classes), categories=pd.Index(names.astype(str)))


def _bytes_of(op: Op, cost: Cost) -> FloatArray:
    """Payload sent by a communication op, HBM bytes of a compute op."""
    if op.work.kernel in COMMUNICATION_KERNELS:
        return np.asarray(sum(cost.sent_bytes.values(), np.zeros_like(op.work.flops_C)))
    return op.work.hbm_bytes_C
