"""Which files of a directory are tables that longsim knows: by file name, a single file also by its columns."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hw_profiles.faults import Fault, InputFaults
from validation.calibrate import FAMILIES, FOLDERS
from validation.families import Family
from validation.tables import read_csv

DATA_VARIABLE = "LONGSIM_DATA"
BESIDE_THE_REPOSITORY = Path(__file__).parents[2] / "shared" / "data"


@dataclass(frozen=True, kw_only=True)
class KnownTable:
    """A file and the families that its rows belong to."""

    path: Path
    families: Sequence[Family]


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """The known tables that were found, and the other files with the reason why they are left aside."""

    tables: Sequence[KnownTable]
    skipped: Sequence[dict[str, str]] = field(default_factory=list)


def tables_path() -> Path:
    """Return where the published tables are looked for: $LONGSIM_DATA, or ../shared/data beside the repository."""
    return Path(os.environ.get(DATA_VARIABLE, BESIDE_THE_REPOSITORY))


def default_data() -> Path:
    """Return the directory of the published tables: $LONGSIM_DATA, or ../shared/data beside the repository.

    Raises InputFaults where neither is a directory.
    """
    path = tables_path()
    if path.is_dir():
        return path
    raise InputFaults([Fault(field="--data", got=f"nothing, and {path} is no directory",
                             allowed="a directory of tables or one CSV file",
                             remedy=f"pass --data PATH or set {DATA_VARIABLE}")])  # fmt: skip


def find_known_tables(data: Path) -> Inventory:
    """Return the known tables in `data`: a directory (itself, hopper/, measured/) or one CSV file.

    A file of a directory is known by its name; a single file by its name, else by its columns. Raises InputFaults
    where nothing is known.
    """
    if data.is_file():
        return Inventory(tables=[KnownTable(path=data, families=_by_name(data.name) or _by_columns(data))])
    paths = [path for folder in FOLDERS for path in sorted((data / folder).glob("*")) if path.is_file()]
    tables = [KnownTable(path=path, families=known) for path in paths if (known := _by_name(path.name))]
    if tables:
        return Inventory(tables=tables, skipped=list(_left_aside(paths)))
    got = "no such file or directory" if not data.exists() else "no table that longsim knows"
    raise InputFaults([Fault(field="--data", got=f"{str(data)!r}: {got}", allowed=", ".join(_file_names()),
                             remedy="name the files as the published tables are named")])  # fmt: skip


def _by_name(name: str) -> list[Family]:
    return [family for family in FAMILIES if family.table.file == name]


def _by_columns(path: Path) -> list[Family]:
    """The families whose columns the file has; of several tables the one that asks for most."""
    columns = set(read_csv(path).columns)
    fitting = [family for family in FAMILIES if set(family.table.columns) <= columns]
    if not fitting:
        allowed = "; ".join(f"{name}: {', '.join(_columns_of(name))}" for name in _file_names())
        raise InputFaults([Fault(field=str(path), got=f"columns {', '.join(sorted(map(str, columns)))}",
                                 allowed=f"the columns of a known table ({allowed})",
                                 remedy="name the columns, unit included, as one of these tables does")])  # fmt: skip
    file = max(fitting, key=lambda family: len(family.table.columns)).table.file
    return _by_name(file)


def _left_aside(paths: Sequence[Path]) -> Iterator[dict[str, str]]:
    for path in paths:
        if not _by_name(path.name):
            yield {"file": path.name, "reason": "no kernel or collective table that longsim knows by this name"}


def _file_names() -> list[str]:
    return sorted({family.table.file for family in FAMILIES})


def _columns_of(file: str) -> Sequence[str]:
    return next(family.table.columns for family in FAMILIES if family.table.file == file)
