"""The events of one profiler trace that a timeline is made of, as columns."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hw_profiles.faults import InputFaults
from validation.traces.chrome import Args, Event, Header, blocks, fault
from workloads.ops import FloatArray, IntArray

KERNEL, MEMCPY, MEMSET, GPU_RANGE, CPU_OP, CPU_RANGE, LAUNCH = range(7)
_CATEGORIES = {
    "kernel": KERNEL, "gpu_memcpy": MEMCPY, "gpu_memset": MEMSET, "gpu_user_annotation": GPU_RANGE,
    "cpu_op": CPU_OP, "user_annotation": CPU_RANGE, "cuda_runtime": LAUNCH, "cuda_driver": LAUNCH,
    "hip_runtime": LAUNCH,
}  # fmt: skip
"""Kineto's names (libkineto/src/ActivityType.cpp) of what a timeline needs; all others are passed over."""
ON_GPU = (KERNEL, MEMCPY, MEMSET)
NONE = -1
_NO_ARGS = Args()


@dataclass(frozen=True, kw_only=True)
class Events:
    """Columns over E events. `start_us` relative to `base_ns`; `name_E`, `thread_E` and `lane_E` number `names`,
    `threads` (process, thread) and `lanes` (a GPU's streams); NONE where the trace says nothing."""

    path: Path
    base_ns: int
    rank: int | None
    names: tuple[str, ...]
    threads: tuple[tuple[str, str], ...]
    lanes: tuple[str, ...]
    category_E: IntArray
    name_E: IntArray
    thread_E: IntArray
    lane_E: IntArray
    device_E: IntArray
    correlation_E: IntArray
    external_E: IntArray
    start_us_E: FloatArray
    length_us_E: FloatArray
    bytes_E: FloatArray

    def of(self, *categories: int) -> NDArray[np.intp]:
        """Where the events of `categories` stand."""
        return np.flatnonzero(np.isin(self.category_E, categories))

    @property
    def end_us_E(self) -> FloatArray:
        """Ends [µs], relative to `base_ns`."""
        return self.start_us_E + self.length_us_E


def read_events(path: Path) -> Events:
    """Return the events of the trace at `path`; raises InputFaults where it is none, or lacks times."""
    columns, header = _Columns(path=path), Header()
    for block in blocks(path):
        columns.add(block.events)
        header = block.header or header
    return columns.done(header)


def _longs() -> "array[int]":
    return array("q")


def _doubles() -> "array[float]":
    return array("d")


@dataclass(kw_only=True)
class _Columns:
    """Columns that grow. Plain arrays: a million Python objects would take ten times their memory."""

    path: Path
    n_seen: int = 0
    names: dict[str, int] = field(default_factory=dict)
    threads: dict[tuple[str, str], int] = field(default_factory=dict)
    lanes: dict[str, int] = field(default_factory=dict)
    whole: "tuple[array[int], ...]" = field(default_factory=lambda: tuple(_longs() for _ in range(7)))
    real: "tuple[array[float], ...]" = field(default_factory=lambda: tuple(_doubles() for _ in range(3)))

    def add(self, events: Iterable[Event]) -> None:
        """Append what a timeline needs; the loop runs a million times, so it is one loop with local names."""
        category, name, thread, lane, device, correlation, external = (column.append for column in self.whole)
        start, length, n_bytes = (column.append for column in self.real)
        names, threads, lanes = self.names, self.threads, self.lanes
        for position, event in enumerate(events, self.n_seen):
            self.n_seen = position + 1
            code = _CATEGORIES.get(event.cat)
            if code is None or event.ph != "X":
                continue
            if event.ts is None or event.dur is None or event.dur < 0:
                raise _timeless(self.path, position, event)
            category(code)
            name(names.setdefault(str(event.name), len(names)))
            thread(threads.setdefault(_thread(event), len(threads)))
            start(event.ts)
            length(event.dur)
            args = event.args or _NO_ARGS
            on_gpu = code <= GPU_RANGE
            lane(lanes.setdefault(_lane(event), len(lanes)) if on_gpu else NONE)
            device(_number(event.pid if args.device is None else args.device) if on_gpu else NONE)
            correlation(_number(args.correlation))
            external(_number(args.external_id))
            n_bytes(float(args.n_bytes) if isinstance(args.n_bytes, int | float) else 0.0)

    def done(self, header: Header) -> Events:
        """The finished columns."""
        category, name, thread, lane, device, correlation, external = (
            np.frombuffer(column, dtype=np.int64) if column else np.empty(0, dtype=np.int64) for column in self.whole
        )
        start, length, n_bytes = (
            np.frombuffer(column, dtype=np.float64) if column else np.empty(0) for column in self.real
        )
        rank = header.distributed.rank if header.distributed else None
        return Events(
            path=self.path, base_ns=header.base_ns, rank=rank, names=tuple(self.names),
            threads=tuple(self.threads), lanes=tuple(self.lanes), category_E=category, name_E=name, thread_E=thread,
            lane_E=lane, device_E=device, correlation_E=correlation, external_E=external, start_us_E=start,
            length_us_E=length, bytes_E=n_bytes,
        )  # fmt: skip


def _thread(event: Event) -> tuple[str, str]:
    return str(event.pid), str(event.tid)


def _lane(event: Event) -> str:
    """The stream's name in the trace; ranges on a GPU say it as their thread alone."""
    stream = event.args.stream if event.args else None
    return str(event.tid if stream is None else stream)


def _number(value: object) -> int:
    """`value` as a number, NONE where it is none."""
    try:
        return int(value)  # type: ignore[call-overload,no-any-return]
    except (TypeError, ValueError):
        return NONE


def _timeless(path: Path, position: int, event: Event) -> InputFaults:
    lacking = "ts" if event.ts is None else "dur" if event.dur is None else "a dur that is not negative"
    return fault(path, f"event {position} ({event.cat} {str(event.name)!r}) without {lacking}")
