"""Tables of a serving run as files: CSV, or Parquet with the extra."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from hw_profiles.faults import Fault, InputFaults, unknown_word
from simulator.serving.results import ServingRun

FORMATS: Sequence[str] = ("csv", "parquet")


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
        _write(table, folder / f"{name}.{table_format}")


def _write(table: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False, float_format="%.9g")
