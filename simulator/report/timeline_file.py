"""The timeline as a file for Perfetto and chrome://tracing (Trace Event Format, JSON).

One process per rank class, one thread per stream, one complete event per op, one flow per receiving op.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simulator.report.flows import flows
from simulator.report.replacing import replacing

_OWN_FIELDS = frozenset({"device", "stream", "op", "wait_s"})
_LEADING_ARGS = ("op_id", "kind", "layer", "flops", "bytes", "tier", "source", "extrapolated", "wait_us")
Event = dict[str, Any]


def write_trace(timeline: pd.DataFrame, path: str | Path, *, name: str) -> None:
    """Write `timeline` (columns of simulator/timeline.py, and any more) to `path`; `name` says what ran.

    `ts` and `dur` are in µs, on whole nanoseconds; the exact `start_s` and `end_s` and every other column stand in
    `args`. Raises OSError where `path` cannot be written; a file appears whole or not at all.
    """
    with replacing(path) as file:
        file.write(f'{{"displayTimeUnit":"ns","otherData":{_json({"name": name})},"traceEvents":[\n')
        for position, event in enumerate(_events(timeline.reset_index(drop=True))):
            file.write((",\n" if position else "") + _json(event))
        file.write("\n]}\n")


def _events(timeline: pd.DataFrame) -> Iterator[Event]:
    threads = _thread_numbers(timeline)
    yield from _process_events(timeline)
    yield from _thread_events(timeline, threads)
    yield from (_complete_event(row, threads) for row in _rows(timeline))
    yield from _flow_events(timeline, threads)


def _rows(timeline: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows one after another as plain values: a large timeline must not stand in memory a second time."""
    names = [str(column) for column in timeline.columns]
    columns = [timeline[name].tolist() for name in names]
    return (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))


def _thread_numbers(timeline: pd.DataFrame) -> dict[str, int]:
    return {str(stream): number for number, stream in enumerate(dict.fromkeys(timeline["stream"]), start=1)}


def _process_events(timeline: pd.DataFrame) -> Iterator[Event]:
    for position, row in enumerate(timeline.drop_duplicates("device").sort_values("rank").itertuples()):
        alike = f" (×{row.n_alike} alike)" if int(str(row.n_alike)) > 1 else ""
        yield _metadata("process_name", row.device, 0, {"name": f"device {row.device}{alike}"})
        yield _metadata("process_labels", row.device, 0, {"labels": f"rank {row.rank}"})
        yield _metadata("process_sort_index", row.device, 0, {"sort_index": position})


def _thread_events(timeline: pd.DataFrame, threads: Mapping[str, int]) -> Iterator[Event]:
    for row in timeline.drop_duplicates(["device", "stream"]).itertuples():
        thread = threads[str(row.stream)]
        yield _metadata("thread_name", row.device, thread, {"name": str(row.stream)})
        yield _metadata("thread_sort_index", row.device, thread, {"sort_index": thread})


def _metadata(what: str, device: object, thread: int, args: Mapping[str, object]) -> Event:
    return {"ph": "M", "name": what, "pid": device, "tid": thread, "args": args}


def _complete_event(row: Mapping[str, Any], threads: Mapping[str, int]) -> Event:
    start_ns, end_ns = round(row["start_s"] * 1e9), round(row["end_s"] * 1e9)
    values = {column: _null_if_missing(value) for column, value in row.items() if column not in _OWN_FIELDS}
    values["wait_us"] = row["wait_s"] * 1e6
    args = {arg: values.pop(arg) for arg in _LEADING_ARGS} | values
    return {
        "ph": "X", "name": row["op"], "cat": row["kind"], "pid": row["device"], "tid": threads[str(row["stream"])],
        "ts": _microseconds(start_ns), "dur": _microseconds(end_ns - start_ns), "args": args,
    }  # fmt: skip


def _null_if_missing(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def _flow_events(timeline: pd.DataFrame, threads: Mapping[str, int]) -> Iterator[Event]:
    arrows = list(flows(timeline))
    senders = _rows(timeline.loc[[arrow.sender for arrow in arrows]])
    receivers = _rows(timeline.loc[[arrow.receiver for arrow in arrows]])
    for number, (arrow, sender, receiver) in enumerate(zip(arrows, senders, receivers, strict=True), start=1):
        common = {"name": arrow.name, "cat": "flow", "id": number}
        start, end = _complete_event(sender, threads), _complete_event(receiver, threads)
        yield {"ph": "s", **common, "pid": start["pid"], "tid": start["tid"], "ts": start["ts"]}
        yield {"ph": "f", "bp": "e", **common, "pid": end["pid"], "tid": end["tid"], "ts": _last_ts(end)}


def _last_ts(event: Event) -> float:
    """The last nanosecond inside `event` [µs]: a receive ends after its sender started, but may begin before it."""
    start_ns, length_ns = round(event["ts"] * 1e3), round(event["dur"] * 1e3)
    return _microseconds(start_ns + max(0, length_ns - 1))


def _microseconds(nanoseconds: int) -> float:
    """Whole nanoseconds in µs, such that a reader gets the same number back whether it rounds or truncates.

    Perfetto drops an event that overlaps the one before it by a nanosecond (github.com/google/perfetto/issues/5012).
    """
    microseconds = nanoseconds / 1e3
    return microseconds if int(microseconds * 1e3) >= nanoseconds else math.nextafter(microseconds, math.inf)


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


# One encoder for all events: json.dumps with options makes a new one per call, a quarter of the time to write a file.
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain, allow_nan=False).encode
