"""Tables of a serving run as files: CSV, or Parquet with the extra."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import pandas as pd

from hw_profiles.faults import Fault, InputFaults, unknown_word
from simulator.serving.results import REQUEST_COLUMNS, ServingRun

FORMATS: Sequence[str] = ("csv", "parquet")
_FLOATS = "%.9g"


def check_table_format(name: str) -> None:
    """Raise InputFaults for a format that is none, or that needs a package which is not installed."""
    if name not in FORMATS:
        raise InputFaults([unknown_word("--format", name, FORMATS)])
    if name == "parquet" and find_spec("pyarrow") is None:
        raise InputFaults([Fault(field="--format", got="'parquet', without pyarrow", allowed="csv",
                                 remedy="run: pip install 'longsim[parquet]'")])  # fmt: skip


def write_tables(run: ServingRun, folder: Path, table_format: str) -> None:
    """Write `requests` and `samples` into `folder`, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (("requests", run.requests), ("samples", run.samples)):
        write_table(table, folder / f"{name}.{table_format}")


class EndedTable:
    """The requests that have ended, `requests.partial.csv` in a folder: written while a replay runs, in the order in
    which they end, so that whatever ends the process leaves them. `remove` it once the whole tables stand."""

    def __init__(self, folder: Path) -> None:
        """Make the folder and the file; OSError where they cannot be written."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._path = folder / "requests.partial.csv"
        self._write(pd.DataFrame(columns=list(REQUEST_COLUMNS)), mode="w")

    def add(self, requests: pd.DataFrame) -> None:
        """Write more rows, REQUEST_COLUMNS; they are in the file when this returns."""
        self._write(requests, mode="a")

    def _write(self, rows: pd.DataFrame, *, mode: Literal["w", "a"]) -> None:
        rows.to_csv(self._path, mode=mode, header=mode == "w", index=False, float_format=_FLOATS)

    def remove(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write one table, in the format that the file's name ends with."""
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False, float_format=_FLOATS)
