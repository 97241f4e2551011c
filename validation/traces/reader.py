"""Profiler traces of real runs as one timeline: the table that a simulation gives (simulator/timeline.py)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from hw_profiles.faults import Fault, InputFaults
from simulator.timeline import TIMELINE_COLUMNS
from validation.traces.chrome import fault
from validation.traces.events import read_events
from validation.traces.rows import rows_of

TRACE_COLUMNS = (*TIMELINE_COLUMNS, "step")
"""step: number of the profiler step that a row belongs to, -1 outside all."""
_S_PER_US = 1e-6


def read_trace(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Return the timeline of one run recorded by torch.profiler (.json, .json.gz), one row per op (TRACE_COLUMNS).

    One file: device and rank are the GPU's number, 0 without a GPU. Several: one file per rank; device and rank are
    the rank that the file names, else its position. Time starts with the first row [s]; the clocks of several files
    are taken as they are. op_id counts the rows of a rank by start. A trace knows no waits, FLOPs or tiers: they are
    0 and "". Durations are the trace's own. Raises InputFaults with the fault of every file.
    """
    runs, faults = [], []
    for path in map(Path, paths):
        try:
            runs.append(_recorded(path))
        except InputFaults as error:
            faults += error.faults
    if not paths:
        faults = [Fault(field="FILE", got="nothing", allowed="profiler traces", remedy="name at least one")]
    if faults:
        raise InputFaults(faults)
    return _timeline(_on_one_clock(runs))


@dataclass(frozen=True, kw_only=True)
class _Recorded:
    """The rows of one file, the time they count from [ns] and the rank it names."""

    rows: pd.DataFrame
    base_ns: int
    rank: int | None


def _recorded(path: Path) -> _Recorded:
    events = read_events(path)
    rows = rows_of(events)
    if rows.empty:
        got, remedy = "no event of a kernel, a copy or an operator", "record it with the activities CPU or CUDA"
        raise fault(path, got, remedy)
    return _Recorded(rows=rows, base_ns=events.base_ns, rank=events.rank)


def _on_one_clock(runs: Sequence[_Recorded]) -> pd.DataFrame:
    """All rows, with `rank`, `start_us` from the first of them."""
    base_ns = min(run.base_ns for run in runs)
    shift_us = [(run.base_ns - base_ns) * 1e-3 for run in runs]
    first_us = min(float(run.rows["start_us"].min()) + shift for run, shift in zip(runs, shift_us, strict=True))
    tables = [
        run.rows.assign(
            start_us=run.rows["start_us"] - (first_us - shift),
            rank=run.rows["gpu"].clip(lower=0) if rank is None else rank,
            stream=run.rows["stream"] if rank is None else _told_apart(run.rows),
        )
        for run, rank, shift in zip(runs, _ranks(runs), shift_us, strict=True)
    ]
    return tables[0] if len(tables) == 1 else _stacked(tables)


def _ranks(runs: Sequence[_Recorded]) -> list[int | None]:
    """The rank of each file: None, so that GPUs count, for one alone; positions where files do not name one each."""
    if len(runs) == 1:
        return [None]
    named = [run.rank for run in runs if run.rank is not None]
    return list(named if len(set(named)) == len(runs) else range(len(runs)))


def _told_apart(rows: pd.DataFrame) -> "pd.Categorical[str]":
    """The streams of a rank, by GPU where it has several: all of them stand on one device."""
    if rows["gpu"].nunique() == 1:
        return pd.Categorical(rows["stream"])
    return pd.Categorical([f"GPU {gpu} {stream}" for gpu, stream in zip(rows["gpu"], rows["stream"], strict=True)])


def _stacked(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The tables under one another, words still as categories."""
    words = {name: union_categoricals([table[name] for table in tables]) for name in ("stream", "op", "kind")}
    return pd.concat(tables, ignore_index=True).assign(**words)


def _timeline(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.sort_values(["start_us", "rank"], kind="stable", ignore_index=True)
    n, start_s = len(rows), rows["start_us"] * _S_PER_US
    columns = {
        "device": rows["rank"], "rank": rows["rank"], "stream": rows["stream"],
        "op_id": rows.groupby("rank").cumcount(), "op": rows["op"], "kind": rows["kind"], "layer": rows["layer"],
        "start_s": start_s, "end_s": start_s + rows["length_us"] * _S_PER_US, "wait_s": np.zeros(n),
        "flops": np.zeros(n), "bytes": rows["bytes"], "tier": _same("", n), "n_alike": np.ones(n, dtype=np.int64),
        "source": _same("measured", n), "extrapolated": np.zeros(n, dtype=bool), "step": rows["step"],
    }  # fmt: skip
    return pd.DataFrame(columns)[list(TRACE_COLUMNS)]


def _same(word: str, n: int) -> "pd.Categorical[str]":
    return pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), categories=pd.Index([word]))
