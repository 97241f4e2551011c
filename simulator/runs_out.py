"""Stored runs as files: CSV, Parquet, JSON."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from hw_profiles.faults import Fault, InputFaults
from simulator.plain import flat
from simulator.report.replacing import replacing
from simulator.stored_run import StoredRun

FORMATS = ("csv", "parquet", "json")
_FIRST = ("key", "kind", "code", "name", "feasible", "reason")

Runs = Callable[[], Iterable[StoredRun]]  # called once for each pass over them


def check_export(path: Path) -> None:
    """Raise InputFaults for a file of another format, or of one whose package is not installed."""
    form = path.suffix.removeprefix(".")
    if form not in FORMATS:
        raise InputFaults([_fault(f"{str(path)!r}", "name it .csv, .parquet or .json")])
    if form == "parquet" and find_spec("pyarrow") is None:
        raise InputFaults([_fault(f"{str(path)!r}, without pyarrow", "run: pip install 'longsim[parquet]'")])


def _fault(got: str, remedy: str) -> Fault:
    return Fault(field="--out", got=got, allowed="a .csv, .parquet or .json file", remedy=remedy)


def write_runs(runs: Runs, path: Path) -> None:
    """Write a row per run: `key`, `kind`, `code`, `name`, `feasible`, `reason`, every key of the scenario
    (`scenario.layout.ep`) and every metric (`metrics.tpot_s`), lists as JSON. A JSON file has whole runs, nested."""
    if path.suffix == ".json":
        with replacing(path) as file:
            file.writelines(_json_lines(runs()))
        return
    columns = _columns(runs())
    if path.suffix == ".csv":
        with replacing(path) as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(_row(run) for run in runs())
        return
    pd.DataFrame([_row(run) for run in runs()], columns=columns).to_parquet(path, index=False)


def _json_lines(runs: Iterable[StoredRun]) -> Iterator[str]:
    separator = "[\n"
    for run in runs:
        yield separator + json.dumps(asdict(run), ensure_ascii=False)
        separator = ",\n"
    yield "\n]\n" if separator == ",\n" else "[]\n"


def _columns(runs: Iterable[StoredRun]) -> list[str]:
    """All that any run has: first of the run, then of scenarios, then of metrics."""
    found = {column: None for run in runs for column in _row(run)}
    return [*_FIRST, *sorted(set(found) - set(_FIRST), key=lambda column: (not column.startswith("scenario."), column))]


def _row(run: StoredRun) -> dict[str, Any]:
    own = {name: getattr(run, name) for name in _FIRST}
    tables = flat({"scenario": run.scenario, "metrics": run.metrics})
    return own | {key: json.dumps(value) if isinstance(value, list) else value for key, value in tables.items()}
