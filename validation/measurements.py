"""A table of measurements: CSV and meta.json in one folder, appended row by row, so that a killed run resumes.

Standard library only: it is written on bare GPU nodes and read anywhere.
"""

import csv
import io
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hw_profiles.faults import Fault, InputFaults

TABLE_FILE, META_FILE = "measurements.csv", "meta.json"
COLUMNS = (
    "suite", "kernel", "op", "shape", "dtype", "device", "flops", "moved_bytes",
    "median_s", "spread", "n_repeats", "n_rounds", "marked", "outcome",
)  # fmt: skip
OLD_COLUMNS = COLUMNS[:-1]  # of tables written before outcomes were kept

Key = tuple[str, str, str, str, str]
Shape = Mapping[str, int | float | str]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One row: `op` of `kernel` family, of `shape`, took `median_s` [s] per call.

    `flops` and `moved_bytes` are the amounts of one call, None where nobody counted them. `spread`: interquartile range
    over median of `n_repeats` samples, the steadiest of `n_rounds` rounds. `marked`: why the row is in doubt, or empty.
    `outcome`: what came out besides the time and is no part of the key, such as the rows that were dispatched.
    """

    suite: str
    kernel: str
    op: str
    shape: Shape
    dtype: str
    device: str
    median_s: float
    spread: float
    n_repeats: int
    n_rounds: int = 1
    flops: float | None = None
    moved_bytes: float | None = None
    marked: str = ""
    outcome: Shape = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """What was measured: two rows of one key measure the same thing."""
        return (self.suite, self.op, shape_text(self.shape), self.dtype, self.device)


def shape_text(shape: Shape) -> str:
    """Return `shape` as the JSON text that stands in the table."""
    return json.dumps(dict(shape), sort_keys=True)


def read_measurements(folder: Path) -> list[Measurement]:
    """Return the rows of `folder`, none where it has no table; a last line cut off by a crash is left out.

    Of rows with one key only the last counts, in the place of the first: a group that is timed by turns is measured
    again as a whole where a run was killed inside it. A table without outcomes reads as one whose outcomes are empty.
    Raises InputFaults that name every line which is no measurement.
    """
    path = folder / TABLE_FILE
    text = _whole_lines(path.read_bytes()).decode("utf-8", errors="replace") if path.is_file() else ""
    if not text:
        return []
    reader = csv.DictReader(io.StringIO(text))
    if tuple(reader.fieldnames or ()) not in {COLUMNS, OLD_COLUMNS}:
        raise InputFaults([_fault(path, 1, f"the columns {reader.fieldnames}", ", ".join(COLUMNS))])
    rows, faults = [], []
    for line, record in enumerate(reader, start=2):
        try:
            rows.append(_from_record(record))
        except (ValueError, TypeError, AttributeError) as error:
            faults.append(_fault(path, line, str(error), "a row as longsim measure writes it"))
    if faults:
        raise InputFaults(faults)
    return list({row.key: row for row in rows}.values())


def append_measurement(folder: Path, row: Measurement) -> None:
    """Add `row` on disk before returning; what cannot be written whole is taken back and the OSError raised.

    A table without outcomes is given that column first.
    """
    path = folder / TABLE_FILE
    _widen(folder)
    with path.open("ab") as file:
        end = _cut_torn_line(path)
        try:
            file.write(_line(COLUMNS if end == 0 else ()) + _line(_to_record(row)))
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            os.truncate(path, end)
            raise


def read_meta(folder: Path) -> dict[str, Any]:
    """Return what is known of the table in `folder`, empty where it is new; InputFaults for a file that is no JSON
    object."""
    path = folder / META_FILE
    if not path.is_file():
        return {}
    try:
        return _mapping(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputFaults([_fault(path, 1, str(error), "the JSON that longsim measure wrote")]) from error


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """Replace meta.json by `meta`, whole or not at all."""
    draft = folder / f"{META_FILE}.part"
    draft.write_text(json.dumps(meta, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(folder / META_FILE)


def _to_record(row: Measurement) -> tuple[object, ...]:
    fields = vars(row) | {"shape": shape_text(row.shape), "outcome": shape_text(row.outcome)}
    return tuple("" if fields[column] is None else fields[column] for column in COLUMNS)


def _from_record(record: Mapping[str, str]) -> Measurement:
    return Measurement(
        suite=record["suite"], kernel=record["kernel"], op=record["op"], shape=_mapping(record["shape"]),
        dtype=record["dtype"], device=record["device"], median_s=_positive(record["median_s"]),
        spread=float(record["spread"]), n_repeats=int(record["n_repeats"]), n_rounds=int(record["n_rounds"]),
        flops=_amount(record["flops"]), moved_bytes=_amount(record["moved_bytes"]), marked=record["marked"],
        outcome=_mapping(record.get("outcome", "{}")),
    )  # fmt: skip


def _amount(text: str) -> float | None:
    return float(text) if text else None


def _positive(text: str) -> float:
    """A time that logarithms can be taken of; ValueError for any other."""
    seconds = float(text)
    if not 0.0 < seconds < math.inf:
        message = f"median_s {text}, which is no time above 0"
        raise ValueError(message)
    return seconds


def _mapping(text: str) -> dict[str, Any]:
    """The JSON object that `text` is; ValueError for any other JSON."""
    value = json.loads(text)
    if not isinstance(value, dict):
        message = f"{text.strip()[:40]}, which is no JSON object"
        raise ValueError(message)  # noqa: TRY004 (the text is at fault, not a type of ours)
    return value


def _line(values: tuple[object, ...]) -> bytes:
    if not values:
        return b""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode("utf-8")


def _widen(folder: Path) -> None:
    """Rewrite a table of OLD_COLUMNS with all columns, whole or not at all."""
    path = folder / TABLE_FILE
    if not path.is_file():
        return
    with path.open("rb") as file:
        is_old = file.readline() == _line(OLD_COLUMNS)
    if is_old:
        rows = read_measurements(folder)
        draft = path.with_suffix(".part")
        draft.write_bytes(_line(COLUMNS) + b"".join(_line(_to_record(row)) for row in rows))
        draft.replace(path)


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _cut_torn_line(path: Path) -> int:
    """Shorten the file to its whole lines; return its length [bytes]."""
    content = path.read_bytes()
    end = len(_whole_lines(content))
    if end < len(content):
        os.truncate(path, end)
    return end


def _fault(path: Path, line: int, got: str, allowed: str) -> Fault:
    return Fault(field=f"{path}:{line}", got=got, allowed=allowed, remedy="correct it, or measure into another folder")
