"""Kernel tables in a profile directory of the user's: checked, copied, found again."""

import shutil
from pathlib import Path
from typing import Any

from hw_profiles.faults import Fault, InputFaults
from hw_profiles.loader import PROFILE_FILE
from validation.calibrate import PROFILES_DIR
from validation.serving.kernel_tables import (
    COLUMNS,
    META_FILES,
    KernelTables,
    read_kernel_tables,
    table_degrees,
    table_path,
)

TABLES_FOLDER = "kernel_tables"


def import_kernel_tables(folder: Path, machine: str, out: Path) -> dict[str, Any]:
    """Copy the tables of `folder`, all read and sound, into the profile directory `out` beside the machine's profile.

    Returns what was brought in: a row per degree. Raises InputFaults for tables that cannot be read and an `out` inside
    the shipped data, OSError where it cannot be written. Tables that `out` had before are replaced.
    """
    if PROFILES_DIR.resolve() in (out.resolve(), *out.resolve().parents):
        raise InputFaults([Fault(field="--out", got=repr(str(out)), allowed="a directory of yours",
                                 remedy="choose another")])  # fmt: skip
    tables = _all_tables(folder)
    target = out / TABLES_FOLDER
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in _files(folder, [found.degree for found in tables]):
        flat = f"{path.parent.name}_{path.name}" if path.parent != folder else path.name
        shutil.copyfile(path, target / flat)
    if not (out / PROFILE_FILE).exists():
        shutil.copyfile(PROFILES_DIR / machine / PROFILE_FILE, out / PROFILE_FILE)
    return {"profile": str(out), "machine": machine, "tables": [_row(found) for found in tables]}


def stored_tables(profile: Path) -> Path:
    """Return the folder of tables in a profile directory; InputFaults where there is none."""
    path = profile / TABLES_FOLDER
    if path.is_dir():
        return path
    raise InputFaults([Fault(field="--profile", got=f"{str(profile)!r}, without kernel tables",
                             allowed="a profile that `longsim import kernel-table` wrote",
                             remedy="import the tables first")])  # fmt: skip


def _all_tables(folder: Path) -> list[KernelTables]:
    degrees = table_degrees(folder)
    if not degrees:
        raise InputFaults([Fault(field=str(folder), got="no kernel table", allowed="tpN_dense.csv and its companions",
                                 remedy="name a folder of kernel tables")])  # fmt: skip
    found, faults = [], []
    for degree in degrees:
        try:
            found.append(read_kernel_tables(folder, degree))
        except InputFaults as error:
            faults += [fault for fault in error.faults if fault not in faults]
    if faults:
        raise InputFaults(faults)
    return found


def _files(folder: Path, degrees: list[int]) -> list[Path]:
    meta = [folder / name for name in META_FILES]
    tables = [table_path(folder, degree, kind) for degree in degrees for kind in COLUMNS]
    return [path for path in [*meta, *tables] if path.is_file()]


def _row(tables: KernelTables) -> dict[str, Any]:
    tokens = max(line.xs[-1] for line in tables.dense.values())
    return {
        "gpu": tables.gpu, "model": tables.model, "degree": tables.degree, "layers": len(tables.dense),
        "tokens": int(tokens), "chunks": len(tables.attention.rows), "experts": tables.experts is not None,
    }  # fmt: skip
