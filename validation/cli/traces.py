"""`longsim import trace`: what a profiler saw, in the words of a simulation, and beside one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from simulator.console import check_writable, err, out, writing
from simulator.evaluate import run_scenario
from simulator.metrics import device_times, time_metrics
from simulator.report.formats import share_text, time_text
from simulator.report.kinds import style_of
from simulator.report.side_by_side import side_by_side
from simulator.scenario import load_scenario
from validation.traces.reader import read_trace
from validation.traces.steps import one_step, step_numbers, typical_step


@dataclass(frozen=True, kw_only=True)
class TraceImport:
    """What is asked: traces to read, a page and a CSV file to write, a scenario to set beside, one step to look at."""

    files: Sequence[Path]
    report: Path | None = None
    beside: str = ""
    out: Path | None = None
    step: int | None = None


def import_trace(asked: TraceImport) -> dict[str, Any]:
    """Read the traces, write what is asked for and return the JSON document of `import trace`."""
    check_writable({"--report": asked.report, "--out": asked.out})
    scenario = load_scenario(asked.beside) if asked.beside else None
    whole = read_trace(asked.files)
    steps = step_numbers(whole)
    chosen = asked.step if asked.step is not None else typical_step(whole) if scenario and steps else None
    measured = whole if chosen is None else one_step(whole, chosen)
    simulated = run_scenario(scenario).timeline if scenario else None
    document = {
        "files": [str(file) for file in asked.files], "rows": len(measured), "steps": list(steps), "step": chosen,
        "measured": _times(measured), "beside": asked.beside or None,
        "simulated": None if simulated is None else _times(simulated),
    }  # fmt: skip
    _write(asked, measured, simulated, _notes(document))
    return document


def _times(timeline: pd.DataFrame) -> dict[str, Any]:
    """The metrics of a timeline and the same per device."""
    devices = device_times(timeline)
    return {"metrics": time_metrics(timeline, devices), "devices": [_device(row) for row in devices.to_dict("records")]}


def _device(row: Mapping[Any, Any]) -> dict[str, Any]:
    comm_s, exposed_s = float(row["comm_s"]), float(row["exposed_comm_s"])
    return {
        "device": int(row["device"]), "comm_s": comm_s, "exposed_comm_s": exposed_s,
        "overlap_ratio": 1.0 - exposed_s / comm_s if comm_s else 1.0,
        "busy_s": {key[5:-2]: float(row[key]) for key in row if str(key).startswith("busy_")},
    }  # fmt: skip


def _notes(document: Mapping[str, Any]) -> Sequence[str]:
    part = "whole traces" if document["step"] is None else f"profiler step {document['step']}"
    notes = [f"Measured: {', '.join(Path(file).name for file in document['files'])}; {part}, {document['rows']:,} ops."]
    return [*notes, f"Simulated: {document['beside']}."] if document["beside"] else notes


def _write(asked: TraceImport, measured: pd.DataFrame, simulated: pd.DataFrame | None, notes: Sequence[str]) -> None:
    if asked.out is not None:
        with writing("--out", asked.out):
            measured.to_csv(asked.out, index=False)
        err.print(f"timeline: {asked.out}", markup=False)
    if asked.report is not None:
        title = f"A profiler trace beside {asked.beside}" if asked.beside else "A profiler trace"
        with writing("--report", asked.report):
            side_by_side(measured, simulated, asked.report, title, notes)
        err.print(f"report: {asked.report}", markup=False)


def show_trace(document: Mapping[str, Any]) -> None:
    """Print what was read, then one line per device."""
    for note in _notes(document):
        out.print(note, markup=False)
    table = Table("", "device")
    for heading in ("communication", "exposed", "hidden"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("busy by kind", overflow="fold")
    for name in ("measured", "simulated"):
        for row in document[name]["devices"] if document[name] else []:
            hidden = share_text(row["overlap_ratio"]) if row["comm_s"] else "–"
            times = [time_text(row[key]) for key in ("comm_s", "exposed_comm_s")]
            table.add_row(name, str(row["device"]), *times, hidden, _busy(row["busy_s"]))
    out.print(table)


def _busy(busy_s: Mapping[str, float]) -> str:
    longest = sorted(busy_s.items(), key=lambda item: -item[1])
    return ", ".join(f"{style_of(kind).label} {time_text(seconds)}" for kind, seconds in longest if seconds)
