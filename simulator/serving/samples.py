"""The state of a replica over time: a bounded number of samples, however long the run."""

from typing import NamedTuple

import pandas as pd

SAMPLE_COLUMNS = (
    "time_s", "replica", "running", "waiting", "kv_used_share", "step_tokens", "step_s", "busy_share",
)  # fmt: skip
_MOST = 2000  # samples of one replica: more than a figure can show


class Sample(NamedTuple):
    """State of a replica at `time_s`; `step_tokens`, `step_s`: of the last step; `busy_s` since it began [s]."""

    time_s: float
    running: int
    waiting: int
    kv_used_share: float
    step_tokens: int
    step_s: float
    busy_s: float


class Sampler:
    """Samples of one replica. When there are too many, every second one goes and the least distance doubles."""

    def __init__(self) -> None:
        self._rows: list[Sample] = []
        self._distance_s = 0.0
        self.next_s = 0.0

    def add(self, sample: Sample) -> None:
        """Keep a sample."""
        self._rows.append(sample)
        if len(self._rows) > _MOST:
            self._rows = self._rows[::2]
            self._distance_s = max(2 * self._distance_s, 2 * (sample.time_s - self._rows[0].time_s) / _MOST)
        self.next_s = sample.time_s + self._distance_s

    def table(self, replica: int) -> pd.DataFrame:
        """Return the samples, SAMPLE_COLUMNS; `busy_share` is of the time since the sample before."""
        table = pd.DataFrame(self._rows, columns=list(Sample._fields))
        elapsed = table["time_s"].diff().fillna(table["time_s"])
        busy = table["busy_s"].diff().fillna(table["busy_s"])
        table["busy_share"] = (busy / elapsed.where(elapsed > 0.0)).fillna(0.0).clip(0.0, 1.0)
        table["replica"] = replica
        return table[list(SAMPLE_COLUMNS)]
