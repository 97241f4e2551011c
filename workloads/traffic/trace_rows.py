"""Rows of a trace file as they stand, chunk by chunk with the numbers of their lines: CSV, or a JSON object a line."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

from hw_profiles.faults import Fault, InputFaults
from workloads.traffic.trace_faults import LineFaults

Rows = Iterator[tuple[int, Any]]  # number of the line, and its fields: a list (CSV) or a mapping (JSONL)


@dataclass(frozen=True, kw_only=True)
class RawRows:
    """The rows of a chunk and the number of each one's line. `header`: names of a CSV's fields, empty for JSONL."""

    rows: Sequence[Any]
    lines: Sequence[int]
    header: Sequence[str]

    def column(self, name: str) -> list[Any]:
        """Return the values under `name`; None where a JSON object lacks it."""
        if self.header:
            return list(map(itemgetter(self.header.index(name)), self.rows))
        return [row.get(name) for row in self.rows]


@dataclass(frozen=True, kw_only=True)
class TraceFile:
    """A file that can be read: `header`, the names of a CSV's fields, empty for JSONL; `first_row` by name."""

    path: Path
    header: Sequence[str]
    first_row: Mapping[str, object]

    def chunks(self, faults: LineFaults, *, chunk_rows: int, n_rows: int | None = None) -> Iterator[RawRows]:
        """Yield the first `n_rows` (None: all) rows, `chunk_rows` at a time, until `faults` is full; a line that has
        not the shape of the file is a fault. Raises InputFaults if the file stops being text or CSV."""
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                rows = _csv_rows(file, faults, len(self.header)) if self.header else _jsonl_rows(file, faults)
                rows = islice(rows, n_rows)
                while chunk := list(islice(rows, chunk_rows)):
                    yield RawRows(rows=[row for _, row in chunk], lines=[line for line, _ in chunk], header=self.header)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputFaults([_unreadable(self.path, error)]) from error


def open_trace(path: Path) -> TraceFile:
    """Return the trace file at `path`, its first row read; raises InputFaults if it holds none. JSONL begins with {."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = next((line for line in file if not line.isspace()), "")
            if first.lstrip().startswith("{"):
                return TraceFile(path=path, header=(), first_row=_object(first))
            header = [name.strip() for name in next(csv.reader([first]), [])]
            values = next((row for row in csv.reader(file) if row), None)
    except (OSError, ValueError, csv.Error) as error:
        raise InputFaults([_unreadable(path, error)]) from error
    if values is None:
        raise InputFaults([_unreadable(path, "no row of values" if header else "an empty file")])
    return TraceFile(path=path, header=header, first_row=dict(zip(header, values, strict=False)))


def _unreadable(path: Path, why: Exception | str) -> Fault:
    return Fault(
        field=str(path),
        got=getattr(why, "strerror", None) or str(why),
        allowed="a request trace: CSV with a header, or one JSON object per line",
        remedy="check the path and the first lines of the file",
    )


def _csv_rows(file: Iterable[str], faults: LineFaults, n_fields: int) -> Rows:
    reader = csv.reader(file)
    next(filter(None, reader))  # the header
    for row in reader:
        if len(row) == n_fields:
            yield reader.line_num, row
        elif row:
            got, allowed = f"{len(row)} fields", f"{n_fields} fields, as the header has"
            faults.add(reader.line_num, "", got=got, allowed=allowed, remedy="complete or remove the line")
            if faults.full:
                return


def _jsonl_rows(file: Iterable[str], faults: LineFaults) -> Rows:
    for number, line in enumerate(file, start=1):
        if line.isspace():
            continue
        try:
            yield number, _object(line)
        except ValueError as error:
            faults.add(number, "", got=str(error), allowed="one JSON object", remedy="complete or remove the line")
            if faults.full:
                return


def _object(line: str) -> Mapping[str, object]:
    value = json.loads(line)
    if not isinstance(value, dict):
        message = f"a {type(value).__name__}"
        raise ValueError(message)  # noqa: TRY004 (the text is at fault, as where json.loads raises)
    return value
