"""A published time or rate of a collective beside its prediction, and medians over such rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class CollectiveRow:
    """One figure, predicted and measured in `unit` ("us", "GB/s", "SMs").

    `group`: the rows whose errors make one median. `fitted`: it went into a fit and is no prediction. `in_range`:
    inside what its curve was fitted on; `bar`: largest median absolute error of its group, as a fraction (None: shown
    alone).
    """

    group: str
    what: str
    predicted: float
    measured: float
    unit: str
    source: str
    bar: float | None
    fitted: bool = False
    in_range: bool = True

    @property
    def error(self) -> float:
        """Signed error as a fraction of the measured figure."""
        return self.predicted / self.measured - 1.0

    @property
    def document(self) -> dict[str, Any]:
        """The row as JSON data."""
        return {
            "group": self.group, "what": self.what, "predicted": self.predicted, "measured": self.measured,
            "unit": self.unit, "error": self.error, "use": "fitted" if self.fitted else "judged",
            "in_range": self.in_range, "source": self.source,
        }  # fmt: skip


def group_documents(rows: Sequence[CollectiveRow]) -> list[Mapping[str, Any]]:
    """Return one document per group, in order of appearance: size, median, 90th percentile and signed median of the
    errors of its judged rows, and the verdict. A group is told apart by whether its rows lie in range."""
    keys = dict.fromkeys((row.group, row.in_range) for row in rows if not row.fitted)
    return [
        _group(
            [row for row in rows if (row.group, row.in_range) == key and not row.fitted],
            n_fitted=sum(row.fitted for row in rows if row.group == key[0]),
        )
        for key in keys
    ]


def _group(judged: Sequence[CollectiveRow], *, n_fitted: int) -> Mapping[str, Any]:
    errors, bar = np.array([row.error for row in judged]), judged[0].bar
    median = float(np.median(np.abs(errors)))
    return {
        "group": judged[0].group, "in_range": judged[0].in_range, "n": len(judged), "n_fitted": n_fitted,
        "median": median, "p90": float(np.quantile(np.abs(errors), 0.9)), "bias": float(np.median(errors)), "bar": bar,
        "ok": None if bar is None else median <= bar,
    }  # fmt: skip
