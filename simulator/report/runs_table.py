"""Stored runs as tables of display texts."""

from collections.abc import Iterable, Mapping, Sequence
from heapq import nsmallest

import pandas as pd

from simulator.report.before_after import figure_texts
from simulator.report.formats import ABSENT
from simulator.stored_run import StoredRun

KEY_DIGITS = 8
"""Of a run's key, shown and enough to name it."""
_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "step": {
        "step_s": "step", "tpot_s": "TPOT", "tokens_per_s_per_gpu": "TGS", "tokens_per_s_per_user": "TPS/user",
        "exposed_comm_s": "exposed communication", "memory_bytes": "memory", "bound_by": "bound by",
    },
    "replay": {
        "verdict": "verdict", "ttft_s.p50": "TTFT p50", "ttft_s.p99": "TTFT p99", "tpot_s.p50": "TPOT p50",
        "tpot_s.p99": "TPOT p99", "goodput_per_s": "good requests/s", "tokens_per_s_per_gpu": "TGS",
        "usd_per_million_output_tokens": "$/M tokens",
    },
}  # fmt: skip


def headings(kind: str) -> dict[str, str]:
    """Return column to heading of the table of steps or of replays; TGS: tokens/s/GPU."""
    return {"key": "run", "name": "name", **_COLUMNS[kind]}


def runs_table(runs: Sequence[StoredRun], kind: str) -> pd.DataFrame:
    """Return one row per run of one kind, in their order: `headings` as display texts."""
    names = list(_COLUMNS[kind])
    rows = [[run.key[:KEY_DIGITS], run.name, *_texts(run, names)] for run in runs]
    return pd.DataFrame(rows, columns=list(headings(kind)))


def _texts(run: StoredRun, names: Sequence[str]) -> list[str]:
    if run.feasible:
        return figure_texts(run, names)
    return ["does not fit", *[ABSENT] * (len(names) - 1)]


def best_runs(runs: Iterable[StoredRun], most: int) -> list[StoredRun]:
    """Return the `most` runs with most tokens/s/GPU, the best first, those that cannot run last."""
    return nsmallest(most, runs, key=_rank)


def _rank(run: StoredRun) -> tuple[bool, float, str]:
    rate = run.metrics.get("tokens_per_s_per_gpu")
    return rate is None, -round(float(rate or 0.0), 6), run.key
