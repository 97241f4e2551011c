"""Which curve explains which published table: how rows become a curve's arguments, for fitting and for judging."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hw_profiles.curves.base import Chip, FloatArray
from validation.tables import Table

Rows = pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class Family:
    """One table with its twins: `fit(rows, chip)` gives a curve, `predict(rows, chip, curve)` gives seconds.

    `axes` are the numeric columns of the shape, in which the interpolating baseline works.
    """

    name: str
    table: Table
    curve: type
    fit: Callable[[Rows, Chip], Any]
    predict: Callable[[Rows, Chip, Any], FloatArray]
    axes: Sequence[str]


def numbers(rows: Rows, *columns: str) -> tuple[FloatArray, ...]:
    """Return the columns as float arrays."""
    return tuple(rows[column].to_numpy(dtype=np.float64) for column in columns)


def only(rows: Rows, column: str) -> str:
    """Return the one value that a group's rows share."""
    return str(rows[column].iloc[0])


def precision_of(name: str) -> str:
    """Return our word for a table's number format."""
    return {"bfloat16": "bf16"}.get(name, name)
