"""The answer to one scenario: what the report, the console and a notebook all read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from simulator.amounts import KindAmounts
from workloads.ops import FloatArray


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """One value the answer rests on: dotted name, value, unit, where it comes from and the document that says so."""

    name: str
    value: float | str
    unit: str
    source: str
    reference: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a scenario comes to.

    `scenario`: resolved keys; `feasible`, `reason`: whether it fits and why not; `metrics`, `interval`: the names of
    docs/design.md section 5 (interval: metric to (low, high)); `kinds`: one row per op kind with `kind`, `busy_s`,
    `exposed_s` (of communication), `critical_s` (share of the critical path) and `n_ops`, means over devices [s];
    `critical_path_by_source`: share 0..1 by source;
    `timeline`: columns of simulator/timeline.py (None if infeasible); `critical_path`: op_id, rank, start_s, end_s;
    `memory_bytes`: item to bytes on the fullest device, `memory_limit_bytes` what it may use, `sequences_that_fit`
    per GPU under it; `amounts`: what each kind moves and computes; `expert_rows_LR`: rows that the experts of each rank
    compute in each MoE layer (one layer where all are alike).
    """

    name: str
    scenario: Mapping[str, Any]
    feasible: bool
    reason: str
    metrics: Mapping[str, Any]
    kinds: Sequence[Mapping[str, Any]]
    critical_path_by_source: Mapping[str, float]
    warnings: Sequence[str]
    memory_bytes: Mapping[str, float]
    memory_limit_bytes: float
    sequences_that_fit: int
    assumptions: Sequence[Assumption]
    interval: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    timeline: pd.DataFrame | None = None
    critical_path: pd.DataFrame | None = None
    amounts: Sequence[KindAmounts] = ()
    expert_rows_LR: FloatArray | None = None
