"""A serving run as a file for Perfetto: a process per replica, a slice per run of steps, counters of its state."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulator.report.replacing import replacing
from simulator.serving.results import ServingRun

_US_PER_S = 1e6
_COUNTERS = ("running", "waiting", "kv_used_share", "busy_share")


def write_serving_trace(run: ServingRun, path: str | Path, *, name: str) -> None:
    """Write the runs of steps and the samples of `run` to `path` (Trace Event Format), whole or not at all; OSError
    where it cannot be written."""
    with replacing(path) as file:
        file.write(f'{{"displayTimeUnit":"ms","otherData":{json.dumps({"name": name})},"traceEvents":[\n')
        for position, event in enumerate(_events(run)):
            file.write((",\n" if position else "") + json.dumps(event))
        file.write("\n]}\n")


def _events(run: ServingRun) -> Iterator[dict[str, Any]]:
    for replica in range(run.n_replicas):
        yield {"ph": "M", "name": "process_name", "pid": replica, "tid": 0, "args": {"name": f"replica {replica}"}}
        yield {"ph": "M", "name": "thread_name", "pid": replica, "tid": 1, "args": {"name": "steps"}}
    for row in run.iterations.to_dict("records"):
        n = row["n_steps"]
        took_s = n * row["step_s"] + row["growth_s"] * n * (n - 1) / 2
        kind = "decode" if not row["prefill_tokens"] else "prompts and decode" if row["n_decode"] else "prompts"
        args = {key: row[key] for key in ("n_steps", "n_decode", "prefill_tokens", "step_s")}
        yield {
            "ph": "X", "name": kind, "cat": kind, "pid": row["replica"], "tid": 1, "ts": row["start_s"] * _US_PER_S,
            "dur": took_s * _US_PER_S, "args": args,
        }  # fmt: skip
    for row in run.samples.to_dict("records"):
        for counter in _COUNTERS:
            yield {
                "ph": "C", "name": counter, "pid": row["replica"], "tid": 0, "ts": row["time_s"] * _US_PER_S,
                "args": {counter: row[counter]},
            }  # fmt: skip
