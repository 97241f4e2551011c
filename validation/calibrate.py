"""From published tables to fitted curves: every group of every table, on the training rows alone."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hw_profiles.curves.base import Chip, FloatArray
from hw_profiles.curves.elementwise import PUBLISHED_ELEMENTWISE
from hw_profiles.curves.records import AnyCurve, to_record
from validation.chips import CHIPS
from validation.families import Family
from validation.infersim_families import INFERSIM_FAMILIES
from validation.kernel_families import KERNEL_FAMILIES
from validation.tables import read_table
from validation.trace_interference import TRACE_FILE, interference_of_trace
from validation.transfer_families import TRANSFER_FAMILIES

FAMILIES = (*KERNEL_FAMILIES, *TRANSFER_FAMILIES, *INFERSIM_FAMILIES)
PROFILES_DIR = Path(str(files("hw_profiles"))) / "data"
FOLDERS = ("hopper", "measured", ".")
SHARED_ROWS = "hopper_shared"  # multi-node rows that the source ships for H100 and H200 alike
SHARED_BY = ("h100_sxm", "h200_sxm")
# Measured on the H800; H100 and H200 have its SMs and NICs and run the same normal kernels: assumed to be the same.
BESIDE_COMPUTE_AS_ON_H800 = frozenset({"h800_sxm", *SHARED_BY})
COMMAND = "longsim calibrate --data DATA"
SPLIT = "fitted on the training rows alone; held out: a fifth of the shapes and a fifth of the sites, by hash"
SIGNIFICANT_DIGITS = 6
FEWEST_ROWS = 8


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rows of one machine, table and group: what one curve is fitted on and judged with.

    `profile_chip`: the limits of a machine that stands in no table of ours.
    """

    machine: str
    family: Family
    name: str
    rows: pd.DataFrame
    profile_chip: Chip | None = None

    @property
    def chip(self) -> Chip:
        """The datasheet limits of the machine."""
        return self.profile_chip or CHIPS[self.machine]


def find_table(data_dir: Path, file: str) -> Path | None:
    """Return where `file` lies under `data_dir` (itself, hopper/ or measured/), or None."""
    return next((data_dir / folder / file for folder in FOLDERS if (data_dir / folder / file).is_file()), None)


def groups_of(family: Family, path: Path) -> Iterator[Group]:
    """Yield the groups of one table by machine; rows that two machines share come with each."""
    frame = read_table(family.table, path)
    if frame.empty:
        return
    for machine in sorted(set(frame["machine"]) & set(CHIPS)):
        mine = frame["machine"] == machine
        if machine in SHARED_BY:
            mine |= frame["machine"] == SHARED_ROWS
        for name, rows in frame[mine].groupby("group", sort=True):
            yield Group(machine=machine, family=family, name=str(name), rows=rows)


def sound(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are no table faults."""
    return rows[rows["fault"] == ""]


def fit_group(group: Group, rows: pd.DataFrame) -> AnyCurve:
    """Return the curve of the group's family fitted on `rows`."""
    return group.family.fit(rows, group.chip)


def log_errors(group: Group, rows: pd.DataFrame, curve: AnyCurve) -> FloatArray:
    """Return log(predicted / measured) of `rows`."""
    predicted_s = group.family.predict(rows, group.chip, curve)
    return np.asarray(np.log(predicted_s / rows["seconds"].to_numpy(dtype=np.float64)))


def fit_all(data_dir: Path, families: Sequence[Family] = FAMILIES) -> dict[str, dict[str, Any]]:
    """Return {machine: content of its fitted.json} for every table found under `data_dir`."""
    fitted: dict[str, dict[str, Any]] = {}
    for family in families:
        path = find_table(data_dir, family.table.file)
        if path is None:
            continue
        for group in groups_of(family, path):
            record = record_of(group)
            if record is None:
                continue
            machine = fitted.setdefault(group.machine, _head())
            machine["sources"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
            machine["families"].setdefault(family.name, {})[group.name] = record
    trace = find_table(data_dir, TRACE_FILE)
    if trace is not None:
        beside = to_record(interference_of_trace(trace))
        for name in sorted(fitted.keys() & BESIDE_COMPUTE_AS_ON_H800):
            fitted[name]["sources"][trace.name] = hashlib.sha256(trace.read_bytes()).hexdigest()
            fitted[name]["families"]["interference"] = {"normal": beside}
    return fitted


def _head() -> dict[str, Any]:
    """What every fitted.json begins with; the published elementwise rule holds for all."""
    return {
        "command": COMMAND,
        "split": SPLIT,
        "sources": {},
        "families": {"elementwise": {"published": to_record(PUBLISHED_ELEMENTWISE)}},
    }


def record_of(group: Group) -> dict[str, Any] | None:
    """Return the fitted group as a record; None where rows are too few."""
    rows = sound(group.rows)
    train = rows[rows["split"] == "train"]
    return judged_record(group, fit_group(group, train)) if len(train) >= FEWEST_ROWS else None


def judged_record(group: Group, curve: AnyCurve) -> dict[str, Any]:
    """Return `curve` as a record with its range, and its residuals on held-out rows (on all where those are few)."""
    rows = sound(group.rows)
    train, held = rows[rows["split"] == "train"], rows[rows["split"] != "train"]
    errors = log_errors(group, held if len(held) >= FEWEST_ROWS else rows, curve)
    low, high = np.quantile(-errors, [0.1, 0.9])
    ranges = {axis: [float(train[axis].min()), float(train[axis].max())] for axis in group.family.axes}
    return to_record(curve) | {
        "residual_log_10_90": [_rounded(low), _rounded(high)],
        "range": ranges,
        "n_rows": len(train),
    }


def _rounded(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
