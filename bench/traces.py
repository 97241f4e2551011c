"""Profiler traces: the time and the peak memory of reading a million events, in a process of its own."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

N_EVENTS = 1_000_000
N_LAYERS = 28
OPS = ("mla0.q_b", "mla0.core", "mla0.o", "router.gemm", "dispatch", "ffn0.gate_up", "ffn0.down", "experts", "combine")
KERNEL = "void cutlass::Kernel2<cutlass_80_wmma_tensorop_bf16_s161616gemm_bf16_16x16_128x2_tn_align8>(Params)"
READ = """
import resource, sys, time
from validation.traces.reader import read_trace
began = time.perf_counter()
rows = len(read_trace([sys.argv[1]]))
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, rows)
"""


def measure() -> dict[str, float]:
    """Return the seconds and the peak resident memory [MB] of reading a million events of a GPU's trace."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        with path.open("w", encoding="utf-8") as file:
            write_trace(file, N_EVENTS)
        done = subprocess.run([sys.executable, "-c", READ, str(path)], check=True, capture_output=True, text=True)
    seconds, peak_mb, _ = map(float, done.stdout.split())
    return {"traces.read_million_events_s": seconds, "traces.read_million_events_peak_mb": peak_mb}


def write_trace(file: IO[str], n_events: int) -> None:
    """Write a trace like Kineto's: per kernel two nested operators, a launch, the kernel, two ends of an arrow."""
    file.write('{\n  "schemaVersion": 1,\n  "deviceProperties": [{"id": 0, "name": "GPU"}],\n  "traceEvents": [\n  ')
    for position, event in zip(range(n_events), _events(), strict=False):
        file.write((",\n  " if position else "") + json.dumps(event, indent=2))
    file.write('\n  ],\n  "traceName": "trace.json",\n  "displayTimeUnit": "ms",\n  "baseTimeNanoseconds": 0\n}\n')


def _events() -> Iterator[dict[str, object]]:
    number, n_ops, now_us = 0, 0, 1000.0
    while True:
        layer, op = n_ops // len(OPS) % N_LAYERS, OPS[n_ops % len(OPS)]
        name = f"layer{layer}.{op}"
        yield _complete("user_annotation", name, now_us, 40.0, {"External id": number})
        for _ in range(3):
            number += 1
            yield from _launched(number, now_us)
            now_us += 12.5
        n_ops, now_us = n_ops + 1, now_us + 5.25


def _launched(number: int, now_us: float) -> Iterator[dict[str, object]]:
    outer = {"External id": number, "Record function id": 0, "Concrete Inputs": ["", "", ""], "Ev Idx": number}
    yield _complete("cpu_op", "aten::linear", now_us, 12.0, outer)
    yield _complete("cpu_op", "aten::mm", now_us + 1.5, 10.0, outer)
    launch = {"External id": number, "cbid": 211, "correlation": number}
    yield _complete("cuda_runtime", "cudaLaunchKernel", now_us + 3.25, 5.125, launch)
    arrow = {"cat": "ac2g", "name": "ac2g", "id": number, "pid": 1000, "tid": 1000, "ts": now_us + 3.25}
    yield {"ph": "s", **arrow}
    yield {"ph": "f", "bp": "e", **arrow, "pid": 0, "tid": 7, "ts": now_us + 20.0}
    kernel = {
        "External id": number, "queued": 0, "device": 0, "context": 1, "stream": 7, "correlation": number,
        "registers per thread": 128, "shared memory": 49152, "blocks per SM": 1.5, "warps per SM": 12.0,
        "grid": [96, 2, 1], "block": [256, 1, 1], "est. achieved occupancy %": 25,
    }  # fmt: skip
    yield _complete("kernel", KERNEL, now_us + 20.0, 10.75, kernel, pid=0, tid=7)


def _complete(  # one event with a duration
    category: str, name: str, start_us: float, length_us: float, args: dict[str, object], *, pid: int = 1000,
    tid: int = 1000,
) -> dict[str, object]:  # fmt: skip
    return {
        "ph": "X", "cat": category, "name": name, "pid": pid, "tid": tid, "ts": round(start_us, 3),
        "dur": length_us, "args": args,
    }  # fmt: skip


if __name__ == "__main__":
    print(measure())
