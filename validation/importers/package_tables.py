"""The performance tables inside an installed aiconfigurator package: which there are, and their rows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from hw_profiles.faults import Fault, InputFaults, unknown_word

PACKAGES = ("aiconfigurator_core", "aiconfigurator")
SUFFIX = "_perf.parquet"


@dataclass(frozen=True, kw_only=True)
class PerfTable:
    """One file: its name without the suffix, and the backend and version that were measured."""

    path: Path
    name: str
    backend: str
    version: str

    @property
    def order(self) -> tuple[int | str, ...]:
        """The version as something to sort by."""
        return tuple(int(part) if part.isdigit() else 0 for part in re.split(r"\D+", self.version))


def data_folder() -> Path:
    """Return the package's directory of systems; InputFaults if it, or what reads parquet, is not installed."""
    faults = []
    roots = [Path(spec.origin).parent for name in PACKAGES if (spec := find_spec(name)) and spec.origin]
    found = next((root / "systems" / "data" for root in roots if (root / "systems" / "data").is_dir()), None)
    if found is None:
        faults.append(_absent("aiconfigurator", "pip install aiconfigurator-core"))
    if find_spec("pyarrow") is None:
        faults.append(_absent("pyarrow", "pip install 'longsim[parquet]'"))
    if faults or found is None:
        raise InputFaults(faults)
    return found


def _absent(package: str, command: str) -> Fault:
    return Fault(field="import aiconfigurator", got=f"no package {package}", allowed="an installed one",
                 remedy=f"run: {command}")  # fmt: skip


def package_version() -> str:
    """Return name and version of the installed package."""
    for name in ("aiconfigurator-core", "aiconfigurator"):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return "aiconfigurator"


def perf_tables(folder: Path, system: str) -> list[PerfTable]:
    """Return the tables of `system`, the newest version first; InputFaults for a system that the package has not."""
    systems = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if system not in systems:
        raise InputFaults([unknown_word("--system", system, systems)])
    tables = [
        PerfTable(path=path, name=path.name.removesuffix(SUFFIX), backend=path.parts[-3], version=path.parts[-2])
        for path in sorted((folder / system).glob(f"*/*/*/*{SUFFIX}"))
    ]
    return sorted(tables, key=lambda table: table.order, reverse=True)


def newest(tables: Sequence[PerfTable], name: str, backend: str) -> PerfTable | None:
    """Return the newest table of that name and backend, or None."""
    return next((table for table in tables if (table.name, table.backend) == (name, backend)), None)


def read_perf(table: PerfTable) -> pd.DataFrame:
    """Return the rows of a table; InputFaults if it cannot be read."""
    try:
        return pd.read_parquet(table.path)
    except (OSError, ValueError) as error:
        raise InputFaults([Fault(field=str(table.path), got=f"no parquet table ({error})", allowed="a parquet file",
                                 remedy="install the package again")]) from error  # fmt: skip
