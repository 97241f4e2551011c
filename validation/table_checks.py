"""Is a table what its name and header say? Checked before anything is fitted, every fault at once."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hw_profiles.curves.records import from_record
from hw_profiles.faults import Fault, InputFaults
from validation.calibrate import FAMILIES, PROFILES_DIR, SHARED_ROWS, Group, find_table, groups_of, log_errors, sound
from validation.chips import CHIPS
from validation.families import Family
from validation.judged_rows import Fitted
from validation.kernels import read_fitted
from validation.tables import read_table

MOST_FACTOR = 5.0  # kernels of one kind and machine differ less between software versions (data README: 2.1 at most)


def check_tables(data_dir: Path, families: Sequence[Family] = FAMILIES) -> list[str]:
    """Return one line per lot of rows that will not be fitted (machines without a datasheet here).

    Raises InputFaults with every fault of every table: no table, no columns, no numbers, no known machine, times a
    suspicious factor away from the shipped curve (a unit or a label is wrong).
    """
    faults: list[Fault] = []
    aside: list[str] = []
    shipped = read_fitted(PROFILES_DIR)
    found = [(family, path) for family in families if (path := find_table(data_dir, family.table.file))]
    if not found:
        faults.append(Fault(field="--data", got=f"{str(data_dir)!r}, where no known table is",
                            allowed=", ".join(sorted({family.table.file for family in families})),
                            remedy="name the directory of the published tables"))  # fmt: skip
    for family, path in found:
        try:
            aside += _unknown_machines(family, path)
            faults += _suspicious(family, path, shipped)
        except InputFaults as error:
            faults += error.faults
    if faults:
        raise InputFaults(dict.fromkeys(faults))
    return aside


def _unknown_machines(family: Family, path: Path) -> list[str]:
    """Say which rows belong to machines without a datasheet; a table with no other rows is refused."""
    frame = read_table(family.table, path)
    if frame.empty:
        return []
    unknown = frame[~frame["machine"].isin([*CHIPS, SHARED_ROWS])]
    if len(unknown) == len(frame):
        names = ", ".join(sorted(unknown["machine"].unique()))
        remedy = "write the system as the published table does"
        raise InputFaults([Fault(field=f"{path}: system", got=names, allowed=", ".join(CHIPS), remedy=remedy)])
    return [f"{path.name}: {len(rows)} rows of {machine}, which has no datasheet here"
            for machine, rows in unknown.groupby("machine")]  # fmt: skip


def _suspicious(family: Family, path: Path, shipped: Fitted) -> Iterator[Fault]:
    """Groups whose times are far from the shipped curve as a whole."""
    for group in groups_of(family, path):
        factor = typical_factor(group, shipped)
        if not 1.0 / MOST_FACTOR <= factor <= MOST_FACTOR:
            yield Fault(
                field=f"{path}: {group.machine}, {group.name}",
                got=f"times that are typically {factor:.3g} times those of the shipped curve",
                allowed=f"a factor below {MOST_FACTOR:g} either way", remedy="check the unit and the labels",
            )  # fmt: skip


def typical_factor(group: Group, shipped: Fitted) -> float:
    """Return the median of measured over predicted time of a group's sound rows; 1 where no curve ships."""
    families = shipped.get(group.machine, {}).get("families", {})
    record = families.get(group.family.name, {}).get(group.name)
    rows = sound(group.rows)
    if record is None or rows.empty:
        return 1.0
    return float(np.exp(-np.median(log_errors(group, rows, from_record(record)))))
