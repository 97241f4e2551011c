"""Reading the published kernel and collective tables: seconds, a deterministic split, faults marked.

Every frame has the table's own columns plus `machine`, `seconds`, `group` (what one fit covers), `site` (what is held
out as a whole), `split` ("train", "point" or "site"), `fault` (why a row is neither fitted nor judged; empty if sound)
and `file_row` (its number in the file, from 0: phases of one row share it).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hw_profiles.faults import Fault, InputFaults

POINT_SHARE = 0.2
SITE_SHARE = 0.2
NO_NUMBER = "a time or size that is no positive number"
MACHINE_OF_SYSTEM = {
    "h100": "h100_sxm",
    "h200": "h200_sxm",
    "h800": "h800_sxm",
    "h20": "h20",
    "hopper_shared": "hopper_shared",
}


@dataclass(frozen=True, kw_only=True)
class Table:
    """How one file is read: columns that name a group, a site and the shape, and the melted time columns.

    `columns` are what the file itself must have. `times` maps a phase to its column of microseconds; a single entry
    with an empty phase is an unmelted table. `prepare` adds derived columns; `mark_faults` returns one reason per row.
    `rotate` names sites too few to give one away: judging leaves out each in turn.
    """

    file: str
    columns: Sequence[str]
    group: Sequence[str]
    site: Sequence[str]
    shape: Sequence[str]
    times: Mapping[str, str]
    prepare: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    mark_faults: Callable[[pd.DataFrame], "pd.Series[str]"] | None = None
    rotate: Sequence[str] = ()


def share_of(text: str) -> float:
    """Return a number in [0, 1) that depends on `text` alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2.0**32


def read_table(table: Table, path: Path, *, keep_bad: bool = False) -> pd.DataFrame:
    """Return the rows of `path` as the module describes; raise `InputFaults` for what cannot be read as that table.

    Rows whose times or sizes are no positive numbers are refused as a whole file, or with `keep_bad` marked as faults
    (a file without one good row is refused all the same).
    """
    raw = read_csv(path)
    _refuse(path, raw, [column for column in table.columns if column not in raw.columns])
    frame = raw.assign(file_row=np.arange(len(raw)))
    frame = _melted(table.prepare(frame) if table.prepare else frame, table)
    if frame.empty:  # a file may hold several tables: none of its rows may be this one's
        return frame
    derived = (*table.group, *table.site, *table.shape)
    _refuse(path, frame, [column for column in derived if column not in frame.columns])
    bad = _bad_numbers(path, frame, table, keep_bad=keep_bad)
    frame.loc[bad, "seconds"] = np.nan  # no other row is judged by them
    frame["group"] = _joined(frame, table.group)
    frame["site"] = _joined(frame, table.site)
    frame["split"] = split_of(table, frame)
    frame["fault"] = table.mark_faults(frame) if table.mark_faults else ""
    frame.loc[bad, "fault"] = NO_NUMBER
    return frame


def split_of(table: Table, frame: pd.DataFrame) -> "pd.Series[str]":
    """Return "site" for rows of held-out sites, "point" for held-out shapes elsewhere, else "train".

    A site is held out by the rank of its hash (about a fifth of the sites, at least one of three); a shape by its hash.
    Machine and repetition do not enter, so that a shape is held out on every machine at once.
    """
    stem = Path(table.file).stem
    sites = sorted(frame["site"].unique(), key=lambda site: share_of(f"{stem}|site|{site}"))
    n_held = round(SITE_SHARE * len(sites)) if len(sites) > 2 else 0
    held = set(sites[: max(n_held, 1 if len(sites) > 2 else 0)])
    shapes = _joined(frame, [*table.site, *table.shape])
    is_point = shapes.map(lambda shape: share_of(f"{stem}|point|{shape}") < POINT_SHARE)
    split = np.where(frame["site"].isin(held), "site", np.where(is_point, "point", "train"))
    return pd.Series(split, index=frame.index, dtype=str)


def read_csv(path: Path) -> pd.DataFrame:
    """The rows of a CSV file; a file that is no table is refused."""
    try:
        frame = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputFaults([Fault(field=str(path), got=f"no table ({error})", allowed="a CSV file with a header line",
                                 remedy="write it again or leave it out")]) from error  # fmt: skip
    if frame.empty:
        raise InputFaults([Fault(field=str(path), got="no rows", allowed="at least one row", remedy="leave it out")])
    return frame


def _refuse(path: Path, frame: pd.DataFrame, missing: Sequence[str]) -> None:
    """Refuse a table without the columns that it needs."""
    if missing:
        allowed = ", ".join(map(str, frame.columns))
        remedy = "name the columns, unit included, as the published table does"
        raise InputFaults(
            [Fault(field=f"{path}: {name}", got="no such column", allowed=allowed, remedy=remedy) for name in missing]
        )


def _melted(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """One row per phase, with `seconds`."""
    parts = []
    for phase, column in table.times.items():
        part = frame.assign(seconds=pd.to_numeric(frame[column], errors="coerce") * 1e-6)
        parts.append(part.assign(phase=phase) if phase else part)
    melted = pd.concat(parts, ignore_index=True)
    system = melted["system"].astype(str) if "system" in melted else pd.Series("gb200_nvl72", index=melted.index)
    return melted.assign(machine=system.map(lambda name: MACHINE_OF_SYSTEM.get(name, name)))


def _bad_numbers(path: Path, frame: pd.DataFrame, table: Table, *, keep_bad: bool) -> "pd.Series[bool]":
    """Which rows have times or sizes that are no positive numbers; they are refused, every column named once."""
    columns = {"seconds": frame["seconds"]} | {c: frame[c] for c in table.shape if c != "distribution"}
    bad = pd.Series(data=False, index=frame.index)
    faults = []
    for column, values in columns.items():
        numbers = pd.to_numeric(values, errors="coerce")
        wrong = ~(np.isfinite(numbers) & (numbers > 0))
        bad |= wrong
        if wrong.any():
            faults.append(Fault(field=f"{path}: {column}", got=f"{int(wrong.sum())} rows that are no positive number",
                                allowed="finite positive numbers", remedy="correct or remove them"))  # fmt: skip
    if bad.all() or (faults and not keep_bad):
        raise InputFaults(faults)
    return bad


def _joined(frame: pd.DataFrame, columns: Sequence[str]) -> "pd.Series[str]":
    """The values of the columns as one text per row."""
    if not columns:
        return pd.Series("", index=frame.index, dtype=str)
    text = frame[columns[0]].astype(str)
    for column in columns[1:]:
        text = text + "|" + frame[column].astype(str)
    return text
