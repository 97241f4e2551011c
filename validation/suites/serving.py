"""Serving: replays of recorded vLLM runs on the kernel tables of their GPU, judged by what their requests saw."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hw_profiles.faults import Fault, InputFaults
from simulator.report.serving_overlay import Overlay
from validation.serving.comparison import Comparison, compare, share_beyond_tables
from validation.serving.engine_setup import engine_setup
from validation.serving.recorded_run import read_run
from validation.serving.tables_store import stored_tables

RUNS_FOLDER = "vllm_runs"
RECORDED_RUNS = "recorded"  # what this part of the suite is called


def compare_runs(folders: Sequence[Path], *, profile: str = "", machine: str = "") -> list[Comparison]:
    """Replay the run of every folder and compare; tables from the run's folder, or from a profile that has imported
    ones. Raises InputFaults with what is wrong with any of them."""
    tables = stored_tables(Path(profile)) if profile else None
    faults: list[Fault] = []
    found = []
    for folder in folders:
        try:
            run = read_run(folder)
            found.append(compare(run, engine_setup(run, tables, machine)))
        except InputFaults as error:
            faults += error.faults
    if faults:
        raise InputFaults(faults)
    return found


def run_folders(data: Path) -> list[Path]:
    """Return the folders of runs in `data`, or in its folder `vllm_runs`; InputFaults where there are none."""
    places = [data, data / RUNS_FOLDER]
    folders = [path.parent for place in places for path in sorted(place.glob("*/meta.json"))]
    if not folders:
        raise InputFaults([Fault(field="--data", got=f"{str(data)!r}, where no run is",
                                 allowed="a directory of runs, each a folder with meta.json",
                                 remedy="name one run with --run DIR")])  # fmt: skip
    return folders


def serving_document(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return every judged statistic, the peer's error beside, and the sum."""
    rows = [row for comparison in comparisons for row in comparison.rows]
    return {
        "rows": [{**row, "part": RECORDED_RUNS} for row in rows],
        "notes": [
            {"id": c.run.name, "text": note} for c in comparisons for note in [*c.setup.notes, *_extrapolated(c)]
        ],
        "skipped": [{"id": c.run.name, "reason": reason} for c in comparisons for reason in _unanswered(c)],
        "summary": {"n": len(rows), "n_ok": sum(row["ok"] for row in rows)},
    }


def _extrapolated(comparison: Comparison) -> list[str]:
    share = share_beyond_tables(comparison)
    return [f"{comparison.run.name}: {share:.1%} of the steps lie beyond the tables' tokens"] if share else []


def _unanswered(comparison: Comparison) -> list[str]:
    """Requests that the recorded engine answered and the replay did not: its statistics are of the others."""
    states = comparison.replayed.requests["state"]
    n = int((states != "done").sum())
    return [f"{n} of {len(states)} requests were not answered in the replay"] if n else []


def overlays(comparisons: Sequence[Comparison]) -> list[Overlay]:
    """Return what the report draws of each run."""
    return [
        Overlay(name=c.run.name, recorded=c.run.series, replayed=c.replayed.samples, rows=c.rows, notes=c.setup.notes)
        for c in comparisons
    ]
