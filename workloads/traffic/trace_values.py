"""Values of a trace's columns as numbers, and a fault for each that is none; N rows of a chunk."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workloads.ops import FloatArray, IntArray
from workloads.traffic.trace_faults import MOST_FAULTS, LineFaults

BoolArray = NDArray[np.bool_]
_NO_DATE = np.iinfo(np.int64).min  # pandas' NaT as a number


@dataclass(frozen=True, kw_only=True)
class Column:
    """The values of one column in a chunk and the numbers of their lines."""

    name: str
    values: Sequence[Any]
    lines: Sequence[int]

    def add_faults(self, is_bad_N: BoolArray, faults: LineFaults, *, allowed: str, remedy: str) -> None:
        """Add a fault for the first values that are bad."""
        for i in np.flatnonzero(is_bad_N)[:MOST_FAULTS].tolist():
            value = self.values[i]
            got = "nothing" if value is None or value == "" else repr(value)
            faults.add(self.lines[i], self.name, got=got, allowed=allowed, remedy=remedy)


class Clock:
    """Reads the times of a trace in seconds after its first, and sees to it that they do not fall. `units_per_s`: of a
    number; None: times are dates."""

    def __init__(self, units_per_s: float | None) -> None:
        self._units_per_s = units_per_s
        self._first: int | float | None = None
        self._last_s = 0.0

    def seconds(self, column: Column, faults: LineFaults) -> FloatArray:
        """Return the times [s]; adds a fault for each that is no time or lies before the one above it."""
        time_N, is_time_N, units_per_s = self._read(column)
        allowed = "a number" if self._units_per_s else "a date and time, such as 2023-11-16 18:17:03.98"
        column.add_faults(~is_time_N, faults, allowed=allowed, remedy="correct or remove the line")
        if self._first is None and is_time_N.any():
            self._first = time_N[is_time_N][0].item()
        time_s_N = np.where(is_time_N, (time_N - (self._first or 0)) / units_per_s, -np.inf)
        latest_s_N = np.maximum.accumulate(np.concatenate([[self._last_s], time_s_N]))
        falls_N = is_time_N & (time_s_N < latest_s_N[:-1])
        column.add_faults(
            falls_N, faults, allowed="no time before that of a line above", remedy="sort the lines by time"
        )
        self._last_s = float(latest_s_N[-1])
        return time_s_N

    def _read(self, column: Column) -> tuple[FloatArray | IntArray, BoolArray, float]:
        if self._units_per_s is not None:
            time_N = _numbers(column.values)
            return time_N, np.isfinite(time_N), self._units_per_s
        time_ns_N = _dates_ns(column.values)
        return time_ns_N, time_ns_N != _NO_DATE, 1e9


class Sessions:
    """Numbers the sessions of a trace in the order in which they first appear."""

    def __init__(self) -> None:
        self._number_of: dict[str, int] = {}

    def numbers(self, column: Column) -> IntArray:
        """Return the number of each one's session, -1 for an empty value."""
        known = self._number_of
        return np.array(
            [-1 if name is None or name == "" else known.setdefault(str(name), len(known)) for name in column.values],
            dtype=np.int64,
        )


def token_counts(column: Column, faults: LineFaults) -> IntArray:
    """Return whole numbers, at least 1; adds a fault for each value that is none (1 stands in its place)."""
    count_N = _numbers(column.values)
    is_count_N = (count_N >= 1) & (count_N == np.floor(count_N)) & (count_N < np.iinfo(np.int32).max)
    remedy = "correct the line, or remove it: a request that failed has no tokens"
    column.add_faults(~is_count_N, faults, allowed="a whole number, at least 1", remedy=remedy)
    return np.where(is_count_N, count_N, 1).astype(np.int64)


def prefix_ids(column: Column, prompt_tokens_N: IntArray, block_tokens: int, faults: LineFaults) -> list[Sequence[int]]:
    """Return the ids of each prompt's blocks; adds a fault for each value that is not one whole number per
    `block_tokens` tokens of the prompt, a block begun included."""
    n_blocks_N = (-(-prompt_tokens_N // block_tokens)).tolist()
    bad = (
        i for i, (value, n_blocks) in enumerate(zip(column.values, n_blocks_N, strict=True))
        if not isinstance(value, list) or len(value) != n_blocks or set(map(type, value)) != {int}
    )  # fmt: skip
    for i in islice(bad, MOST_FAULTS):
        value = column.values[i]
        got = f"{len(value)} values" if isinstance(value, list) else repr(value)
        allowed = f"a list of {n_blocks_N[i]} whole numbers, one per {block_tokens} tokens of the prompt"
        faults.add(column.lines[i], column.name, got=got, allowed=allowed, remedy="correct or remove the line")
    return list(column.values)


def _numbers(values: Sequence[Any]) -> FloatArray:
    """The values as numbers, NaN for each that is none."""
    try:
        number_N = np.array(values, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        return np.array([_number(value) for value in values])
    return number_N


def _number(value: Any) -> float:  # noqa: ANN401 (whatever stands in the file)
    try:
        return float(value)
    except (ValueError, TypeError, OverflowError):
        return np.nan


def _dates_ns(values: Sequence[Any]) -> IntArray:
    """Dates in ISO 8601 as nanoseconds since 1970, UTC where they name no zone; _NO_DATE for what is none."""
    dates = pd.DatetimeIndex(pd.to_datetime(list(map(str, values)), format="ISO8601", utc=True, errors="coerce"))
    return np.asarray(dates.as_unit("ns").asi8)
