"""From an installed aiconfigurator package to a user's profile: read, convert, refuse the suspicious, fit, tag."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hw_profiles.curves.base import Chip
from hw_profiles.faults import Fault, InputFaults
from validation.calibrate import FEWEST_ROWS, Group, record_of, sound
from validation.importers.conversions import CONVERSIONS, Conversion, converted
from validation.importers.package_tables import PerfTable, data_folder, newest, package_version, perf_tables, read_perf
from validation.importers.sanity import mark_suspicious
from validation.importers.user_profile import Imported, chip_of_machine
from validation.tables import shaped_table, share_of

MOST_ROWS = 600  # of one group: fits gain nothing from more (the shipped ones rest on 30 to 400), and take minutes
EXAMPLES = 5


@dataclass(frozen=True, kw_only=True)
class Package:
    """What was read: the fitted groups, the files behind them by hash, and what was left aside with the reason."""

    imported: Sequence[Imported]
    sources: dict[str, str]
    skipped: Sequence[str]


def import_package(system: str, machine: str, *, backend: str = "") -> Package:
    """Fit every family that the tables of `system` feed, as curves of `machine`.

    `backend`: whose tables come first (sglang, trtllm, vllm); others stand in where it has none. Raises InputFaults
    where the package, what reads it, or the system is missing.
    """
    tables = perf_tables(data_folder(), system)
    chip = chip_of_machine(machine)
    imported: list[Imported] = []
    sources: dict[str, str] = {}
    skipped: list[str] = []
    for conversion in CONVERSIONS:
        chosen = _chosen(conversion, tables, backend)
        if not chosen:
            skipped.append(f"{conversion.name}: no table of {system} by {', '.join(conversion.backends)}")
        for table in chosen:
            groups = list(_groups(conversion, table, tables, machine, chip))
            imported += groups
            sources |= {f"{package_version()}: {path.name} {table.backend} {table.version}": _digest(path)
                        for path in [table.path] if groups}  # fmt: skip
            skipped += [] if groups else [f"{conversion.name} of {table.backend}: fewer than {FEWEST_ROWS} rows each"]
    if not imported:
        raise InputFaults([Fault(field="--system", got=f"{system!r}, none of whose tables has a family here",
                                 allowed="a system with GEMM, MLA, MoE or communication tables",
                                 remedy="choose another")])  # fmt: skip
    return Package(imported=imported, sources=sources, skipped=skipped)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _chosen(conversion: Conversion, tables: Sequence[PerfTable], backend: str) -> list[PerfTable]:
    """The newest table of each backend whose groups bear its name; of the others the first in order of preference."""
    order = sorted(conversion.backends, key=lambda name: name != backend)
    found = [table for name in order if (table := newest(tables, conversion.name, name)) is not None]
    own_groups = bool(conversion.constant) or conversion.name == "moe_a2a"
    return found if own_groups else found[:1]


def _groups(
    conversion: Conversion, table: PerfTable, tables: Sequence[PerfTable], machine: str, chip: Chip
) -> Iterator[Imported]:
    rows = _shaped(conversion, _rows(conversion, table, tables), table, machine)
    siblings = _siblings(conversion, table, tables, machine)
    keys = list(dict.fromkeys(column for column in conversion.family.table.shape))
    for name, part in rows.groupby("group", sort=True):
        alike = [other[_like(other, part)] for other in siblings]
        checked = mark_suspicious(conversion.family.name, part, chip, alike, keys)
        group = Group(machine=machine, family=conversion.family, name=str(name), rows=_sampled(checked),
                      profile_chip=chip)  # fmt: skip
        if record := record_of(group):
            refused = checked[checked["fault"] != ""]
            yield Imported(
                group=group, record=record, tags={"engine": table.backend, "version": table.version},
                n_available=len(checked), refused=Counter(refused["fault"]),
                examples=[_told(row, keys) for _, row in refused.head(EXAMPLES).iterrows()],
            )  # fmt: skip


def _rows(conversion: Conversion, table: PerfTable, tables: Sequence[PerfTable]) -> pd.DataFrame:
    """The table's rows; where every version counts, older ones fill in the node counts that newer ones lack."""
    rows = read_perf(table)
    if not conversion.every_version:
        return rows
    for older in tables:
        if (older.name, older.backend) == (table.name, table.backend) and older != table:
            more = read_perf(older)
            rows = pd.concat([rows, more[~more["node_num"].isin(rows["node_num"])]], ignore_index=True)
    return rows


def _shaped(conversion: Conversion, frame: pd.DataFrame, table: PerfTable, machine: str) -> pd.DataFrame:
    rows = converted(conversion, frame, table.backend, machine).reset_index(drop=True)
    return shaped_table(conversion.family.table, rows, table.path, keep_bad=True)


def _siblings(
    conversion: Conversion, table: PerfTable, tables: Sequence[PerfTable], machine: str
) -> list[pd.DataFrame]:
    """The same kernels by other backends."""
    if not conversion.siblings:
        return []
    others = [newest(tables, conversion.name, name) for name in conversion.backends if name != table.backend]
    return [_shaped(conversion, read_perf(other), other, machine) for other in others if other is not None]


def _like(other: pd.DataFrame, rows: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows of another backend have the number format (and the op) of `rows`."""
    alike = other["fault"] == ""
    for column in ("dtype", "kv_cache_dtype", "op"):
        if column in rows:
            alike &= other[column] == rows[column].iloc[0]
    return alike


def _sampled(rows: pd.DataFrame) -> pd.DataFrame:
    """At most MOST_ROWS sound rows, the same every time; refused rows stay away."""
    kept = sound(rows)
    if len(kept) <= MOST_ROWS:
        return kept
    order = kept["file_row"].map(lambda row: share_of(str(row)))
    return kept.loc[order.sort_values().index[:MOST_ROWS]].sort_index()


def _told(row: "pd.Series[Any]", keys: Sequence[str]) -> str:
    shape = ", ".join(f"{key}={row[key]}" for key in keys)
    return f"{shape}: {row['fault']}"
