"""Predictions of many rows: deployments side by side on the cores of this computer."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from hw_profiles.faults import InputFaults
from validation.clusters.parts import typed_facts
from validation.clusters.silicon_replay import Latencies, Served, deployment_key
from validation.clusters.silicon_rows import SiliconRow
from validation.clusters.silicon_scenarios import Facts, read_facts
from validation.clusters.silicon_steps import Overheads

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
OVERHEADS = "silicon_overheads"  # the file of the fitted overheads


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A row with its predicted latencies, or the reason why there are none."""

    row: SiliconRow
    latencies: Latencies | None = None
    reason: str = ""


def overheads_key(row: SiliconRow, facts: Facts) -> str:
    """Return the name of the row's set of overheads: its backend on its generation of GPUs."""
    return f"{row.backend}_{facts.generation(row)}"


def fitted_overheads() -> Mapping[str, Overheads]:
    """Return the committed overheads of each set."""
    sets: Mapping[str, Mapping[str, float]] = typed_facts(OVERHEADS)["sets"]
    return {name: Overheads(**values) for name, values in sets.items()}


def predictions(rows: Sequence[SiliconRow], overheads: Mapping[str, Overheads]) -> Sequence[Prediction]:
    """Return the prediction of every row, in the order of the rows."""
    groups: dict[tuple[Any, ...], list[SiliconRow]] = {}
    for row in rows:
        groups.setdefault(deployment_key(row), []).append(row)
    found = in_processes(partial(_of_deployment, overheads), sorted(groups.values(), key=len, reverse=True))
    by_number = {prediction.row.number: prediction for several in found for prediction in several}
    return [by_number[row.number] for row in rows]


def in_processes(function: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Return the function of each item, computed by as many processes as there are cores."""
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(function, items))


def _of_deployment(overheads: Mapping[str, Overheads], rows: Sequence[SiliconRow]) -> list[Prediction]:
    facts = read_facts()
    try:
        served = Served(rows[0], facts)
    except InputFaults as error:
        return [Prediction(row=row, reason=str(error.faults[0])) for row in rows]
    return [_of_row(served, row, overheads[overheads_key(row, facts)]) for row in rows]


def _of_row(served: Served, row: SiliconRow, overheads: Overheads) -> Prediction:
    try:
        return Prediction(row=row, latencies=served.latencies(row, overheads))
    except InputFaults as error:
        return Prediction(row=row, reason=str(error.faults[0]))
