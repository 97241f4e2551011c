"""Rows of a trace file as they stand, chunk by chunk with the numbers of their lines: CSV, or a JSON object a line."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice, zip_longest
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

from hw_profiles.faults import Fault, InputFaults
from workloads.traffic.trace_faults import LineFaults

Chunks = Iterator[tuple[list[Any], Sequence[int]]]  # rows, lists (CSV) or mappings (JSONL), and the numbers of lines


@dataclass(frozen=True, kw_only=True)
class RawRows:
    """The rows of a chunk and the number of each one's line. `header`: names of a CSV's fields, empty for JSONL."""

    rows: Sequence[Any]
    lines: Sequence[int]
    header: Sequence[str]

    def first(self, n: int | None) -> "RawRows":
        """Return the first `n` rows, all for None."""
        return self if n is None else replace(self, rows=self.rows[:n], lines=self.lines[:n])

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

    def chunks(self, faults: LineFaults, *, chunk_rows: int) -> Iterator[RawRows]:
        """Yield the rows of `chunk_rows` lines at a time until `faults` is full; a line that has not the shape of the
        file is a fault, an empty one is nothing. Raises InputFaults if the file stops being readable."""
        try:
            with _text(self.path) as file:
                if self.header:
                    chunks = _csv_chunks(file, faults, chunk_rows=chunk_rows, n_fields=len(self.header))
                else:
                    chunks = _jsonl_chunks(file, faults, chunk_rows=chunk_rows)
                for rows, lines in chunks:
                    yield RawRows(rows=rows, lines=lines, header=self.header)
        except OSError as error:
            raise InputFaults([_unreadable(self.path, error)]) from error


def open_trace(path: Path) -> TraceFile:
    """Return the trace file at `path`, its first row read; raises InputFaults if it holds none. JSONL begins with {."""
    try:
        with _text(path) as file:
            first = next((line for line in file if line.strip("\r\n")), "")
            if first.lstrip().startswith("{"):
                return TraceFile(path=path, header=(), first_row=_object(first))
            header = [name.strip() for name in next(csv.reader([first]), [])]
            values = next((row for row in csv.reader(file) if row), None)
    except (OSError, ValueError, csv.Error) as error:
        raise InputFaults([_unreadable(path, error)]) from error
    if why := _not_a_table(first, header):
        raise InputFaults([_unreadable(path, why)])
    if values is None:
        raise InputFaults([_unreadable(path, "no row of values" if header else "an empty file")])
    return TraceFile(path=path, header=header, first_row=dict(zip_longest(header, values[: len(header)], fillvalue="")))


def _not_a_table(first: str, header: Sequence[str]) -> str:
    """Return what a file is whose first line cannot be the header of a CSV, or nothing."""
    if "\0" in first or "\ufffd" in first:
        return "no text: a compressed or binary file"
    if first.lstrip().startswith("["):
        return "a JSON array"
    separator = next((mark for mark in (";", "\t", "|") if mark in first), "")
    return f"fields separated by {separator!r}, not by commas" if separator and len(header) == 1 else ""


def _text(path: Path) -> TextIO:
    """Bytes that are no UTF-8 are replaced: in a column that counts they become a fault of their line."""
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def _unreadable(path: Path, why: Exception | str) -> Fault:
    return Fault(
        field=str(path),
        got=getattr(why, "strerror", None) or str(why),
        allowed="a request trace: CSV with a header, or one JSON object per line",
        remedy="check the path and the first lines of the file",
    )


def _csv_chunks(file: Iterable[str], faults: LineFaults, *, chunk_rows: int, n_fields: int) -> Chunks:
    reader = csv.reader(file)
    next(filter(None, reader))  # the header
    last_line = reader.line_num
    while not faults.full and (rows := _some(reader, chunk_rows)):
        if isinstance(rows, csv.Error):
            remedy = "close the quote that was opened on this line or above"
            faults.add(reader.line_num, "", got=str(rows), allowed="rows of CSV", remedy=remedy)
            return
        lines: Sequence[int] = range(last_line + 1, reader.line_num + 1)
        if len(lines) != len(rows):  # a quoted field spans lines
            heights = (1 + sum(field.count("\n") for field in row) for row in rows)
            lines = list(accumulate(heights, initial=last_line))[1:]
        last_line = reader.line_num
        if set(map(len, rows)) != {n_fields}:
            rows, lines = _of_width(rows, lines, faults, n_fields)
        yield rows, lines


def _some(rows: Iterator[list[str]], n: int) -> list[list[str]] | csv.Error:
    try:
        return list(islice(rows, n))
    except csv.Error as error:  # most often a quote that nothing closes: the rest of the file would be one field
        return error


def _of_width(
    rows: list[list[str]], lines: Sequence[int], faults: LineFaults, n_fields: int
) -> tuple[list[list[str]], Sequence[int]]:
    for line, row in zip(lines, rows, strict=True):
        if row and len(row) != n_fields:
            got, allowed = f"{len(row)} fields", f"{n_fields} fields, as the header has"
            faults.add(line, "", got=got, allowed=allowed, remedy="complete or remove the line")
    sound = [(row, line) for row, line in zip(rows, lines, strict=True) if len(row) == n_fields]
    return [row for row, _ in sound], [line for _, line in sound]


def _jsonl_chunks(file: Iterable[str], faults: LineFaults, *, chunk_rows: int) -> Chunks:
    texts = ((number, text) for number, text in enumerate(file, start=1) if not text.isspace())
    while not faults.full and (chunk := list(islice(texts, chunk_rows))):
        rows, lines = [], []
        for number, text in chunk:
            try:
                rows.append(_object(text))
                lines.append(number)
            except ValueError as error:
                got = str(error)
                faults.add(number, "", got=got, allowed="one JSON object", remedy="complete or remove the line")
        yield rows, lines


def _object(line: str) -> Mapping[str, object]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:  # its own words call every line "line 1"
        message = f"{error.msg} at character {error.pos + 1}"
        raise ValueError(message) from error
    if not isinstance(value, dict):
        message = f"a {type(value).__name__}"
        raise ValueError(message)  # noqa: TRY004 (the text is at fault, as where json.loads raises)
    return value
