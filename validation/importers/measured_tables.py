"""A user's own measurements: CSV files with the columns of the known tables, all-to-alls first of all."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hw_profiles.curves.all_to_all import RANKS_PER_NODE, LowLatencyCurve, low_latency_s
from hw_profiles.curves.base import Chip, FloatArray
from hw_profiles.curves.records import from_record
from hw_profiles.faults import Fault, InputFaults
from hw_profiles.fits.bounded import Free, fit_bounded
from validation.calibrate import FEWEST_ROWS, Group, judged_record, record_of, sound
from validation.families import Family, numbers
from validation.importers.user_profile import Imported, chip_of_machine, shipped_content
from validation.known_tables import find_known_tables
from validation.tables import read_csv, shaped_table
from validation.transfer_families import DEEPEP_LOW_LATENCY, LL_INPUTS

A2A_COLUMNS = ("tokens_per_rank", "hidden", "topk", "experts", "ep", "nodes", "dispatch_us", "combine_us")
STAND_IN = "h100_sxm"  # whose all-to-all curve begins a machine that has none
# What a handful of rows can tell: the latency and the rate of the tiers that they cross.
FEW_LOCAL = {
    "floor_s": Free(low=1e-7, high=1e-3, stiffness=0.01),
    "nvlink_share": Free(low=0.02, high=1.0, stiffness=0.01),
    "sm_bytes_per_s": Free(low=1e8, high=1e11, stiffness=0.01),
}
FEW_REMOTE = {
    "nic_floor_s": Free(low=1e-8, high=1e-3, stiffness=0.01),
    "nic_share": Free(low=0.02, high=1.0, stiffness=0.01),
}
EVERY_ROW_COUNTS = 0.5  # log error up to which the loss stays quadratic: of three rows none is an outlier


def file_source(path: Path) -> dict[str, str]:
    """Return {file name: hash}, as fitted.json lists its sources."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}


def import_csv(path: Path, machine: str) -> list[Imported]:
    """Fit the table at `path` (known by name or columns) as curves of `machine`; rows of other systems are refused."""
    raw, chip = read_csv(path), chip_of_machine(machine)
    if "system" not in raw:
        raw = raw.assign(system=machine)
    families = find_known_tables(path).tables[0].families
    parts = [(family, shaped_table(family.table, raw, path)) for family in families]
    _refuse_other_machines(path, parts, machine)
    imported = [item for family, rows in parts for item in _fitted(family, rows, machine, chip)]
    if not imported:
        got = f"no group of {FEWEST_ROWS} rows or more of {machine}"
        raise InputFaults([Fault(field=str(path), got=got, allowed="a table of that machine",
                                 remedy="name the machine that was measured, or measure more shapes")])  # fmt: skip
    return imported


def _refuse_other_machines(path: Path, parts: Sequence[tuple[Family, pd.DataFrame]], machine: str) -> None:
    """A profile is of one machine: rows of others are not left out silently."""
    others = Counter(name for _, rows in parts if not rows.empty for name in rows["machine"] if name != machine)
    if others:
        got = ", ".join(f"{n} rows of {name}" for name, n in sorted(others.items()))
        raise InputFaults([Fault(field=f"{path}: system", got=got, allowed=f"rows of {machine} alone",
                                 remedy="import each machine into a profile of its own")])  # fmt: skip


def _fitted(family: Family, rows: pd.DataFrame, machine: str, chip: Chip) -> Iterator[Imported]:
    if rows.empty:
        return
    for name, part in rows[rows["machine"] == machine].groupby("group", sort=True):
        group = Group(machine=machine, family=family, name=str(name), rows=part, profile_chip=chip)
        if record := record_of(group):
            yield _imported(group, record)


def _imported(group: Group, record: dict[str, Any]) -> Imported:
    refused = Counter(group.rows.loc[group.rows["fault"] != "", "fault"])
    tags = {"engine": "measured", "version": "by the user"}
    return Imported(group=group, record=record, tags=tags, n_available=len(group.rows), refused=refused)


def import_a2a(path: Path, machine: str) -> list[Imported]:
    """Fit a measured all-to-all (A2A_COLUMNS, one row per shape) as the low-latency curves of `machine`.

    With eight sound rows or more the whole curve is fitted; with fewer its latency and the rates of its tiers alone,
    from the shipped curve. The library may be any: its bytes are those of one copy per chosen expert.
    """
    raw = read_csv(path)
    _refuse_missing(path, raw)
    _refuse_odd_nodes(path, raw)
    rows = shaped_table(DEEPEP_LOW_LATENCY.table, raw.assign(system=machine), path)
    rows["fault"] = ""  # few experts per rank are slow, and that is what this user runs
    chip = chip_of_machine(machine)
    imported = []
    for name, part in rows.groupby("group", sort=True):
        group = Group(machine=machine, family=DEEPEP_LOW_LATENCY, name=str(name), rows=part.assign(split="train"),
                      profile_chip=chip)  # fmt: skip
        record = record_of(group) if len(part) >= FEWEST_ROWS else judged_record(group, _from_shipped(group))
        if record:
            imported.append(_imported(group, record))
    return imported


def _refuse_missing(path: Path, raw: pd.DataFrame) -> None:
    missing = [column for column in A2A_COLUMNS if column not in raw.columns]
    if missing:
        allowed, remedy = ", ".join(A2A_COLUMNS), "name the columns, unit included, like this"
        raise InputFaults(
            [Fault(field=f"{path}: {name}", got="no such column", allowed=allowed, remedy=remedy) for name in missing]
        )


def _refuse_odd_nodes(path: Path, raw: pd.DataFrame) -> None:
    """The curve puts eight ranks on a node: other nodes would be read as eight."""
    expected = np.maximum(np.ceil(pd.to_numeric(raw["ep"], errors="coerce") / RANKS_PER_NODE), 1.0)
    odd = raw.index[expected != pd.to_numeric(raw["nodes"], errors="coerce")]
    if len(odd):
        raise InputFaults([Fault(field=f"{path}: nodes", got=f"{len(odd)} rows that are not ep/{RANKS_PER_NODE} nodes",
                                 allowed=f"{RANKS_PER_NODE} ranks per node", remedy="give nodes = ep/8")])  # fmt: skip


def _start(group: Group) -> LowLatencyCurve:
    """The shipped curve of the machine, or of the stand-in."""
    for machine in (group.machine, STAND_IN):
        record = shipped_content(machine)["families"].get(group.family.name, {}).get(group.name)
        if record:
            return from_record(record)  # type: ignore[no-any-return]
    message = f"{STAND_IN} ships a curve of {group.family.name}"
    raise AssertionError(message)


def _from_shipped(group: Group) -> LowLatencyCurve:
    """The starting curve with its latency and rates moved onto a few rows."""
    *shape, seconds = numbers(group.rows, *LL_INPUTS, "seconds")
    remote = shape[-1] > RANKS_PER_NODE
    free = (FEW_REMOTE if np.any(remote) else {}) | ({} if np.all(remote) else FEW_LOCAL)

    def predict(curve: LowLatencyCurve) -> FloatArray:
        return low_latency_s(*shape, chip=group.chip, curve=curve)

    start = replace(_start(group), nic_floor_s=max(_start(group).nic_floor_s, 1e-7))
    return fit_bounded(predict, start, free, seconds, soft_error=EVERY_ROW_COUNTS)


def bound_shares(item: Imported) -> Iterator[dict[str, Any]]:
    """Yield, per measured row: measured, shipped and fitted time, and the share of the slowest tier's bound reached.

    The bound is bytes over the datasheet rate of NVLink inside the node, of the NIC across nodes.
    """
    group, rows = item.group, sound(item.group.rows)
    shape, chip = numbers(rows, *LL_INPUTS), group.chip
    before = low_latency_s(*shape, chip=chip, curve=_start(group))
    curve = from_record(item.record)
    after = low_latency_s(*shape, chip=chip, curve=curve)
    tokens, hidden, top_k, _, ranks = shape
    sent = tokens * top_k * (hidden * curve.value_bytes + curve.token_bytes)
    remote = np.maximum(0.0, 1.0 - RANKS_PER_NODE / ranks)
    tiers = {"nvlink": sent * (1.0 - remote) / chip.nvlink_bytes_per_s, "nic": sent * remote / chip.nic_bytes_per_s}
    for position, seconds in enumerate(rows["seconds"]):
        tier = max(tiers, key=lambda name: float(tiers[name][position]))
        yield {
            "phase": group.name, "tokens_per_rank": int(tokens[position]), "ep": int(ranks[position]),
            "measured_s": float(seconds), "shipped_s": float(before[position]), "fitted_s": float(after[position]),
            "tier": tier, "share_of_bound": float(tiers[tier][position] / seconds),
        }  # fmt: skip
