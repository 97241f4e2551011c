"""The state of a replica over time: a bounded number of samples, however long the run."""

import pandas as pd

SAMPLE_COLUMNS = (
    "time_s", "replica", "running", "waiting", "kv_used_share", "step_tokens", "step_s", "busy_share",
)  # fmt: skip
_MOST = 4000  # samples of one replica: more than a figure can show


class Sampler:
    """Samples of one replica. When there are too many, every second one goes and the least distance doubles."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, int, int, float, int, float, float]] = []
        self._distance_s = 0.0
        self.next_s = 0.0

    def add(
        self, time_s: float, running: int, waiting: int, kv_used_share: float, step_tokens: int, step_s: float,
        busy_s: float,
    ) -> None:  # fmt: skip
        """Note the state at `time_s`; `step_tokens`, `step_s`: of the last step; `busy_s` since the replica began."""
        self._rows.append((time_s, running, waiting, kv_used_share, step_tokens, step_s, busy_s))
        if len(self._rows) > _MOST:
            self._rows = self._rows[::2]
            self._distance_s = max(2 * self._distance_s, 2 * (time_s - self._rows[0][0]) / _MOST)
        self.next_s = time_s + self._distance_s

    def table(self, replica: int) -> pd.DataFrame:
        """Return the samples, SAMPLE_COLUMNS; `busy_share` is of the time since the sample before."""
        names = ["time_s", "running", "waiting", "kv_used_share", "step_tokens", "step_s", "busy_s"]
        table = pd.DataFrame(self._rows, columns=names)
        elapsed = table["time_s"].diff().fillna(table["time_s"])
        busy = table["busy_s"].diff().fillna(table["busy_s"])
        table["busy_share"] = (busy / elapsed.where(elapsed > 0.0)).fillna(0.0).clip(0.0, 1.0)
        table["replica"] = replica
        return table[list(SAMPLE_COLUMNS)]
