"""While a replay runs: how far it has come, the requests that have ended in a file, and when to stop before the end."""

import time
from collections.abc import Callable
from typing import Literal

import pandas as pd

from simulator.console import err, writing
from simulator.report.formats import time_text
from simulator.serving.progress import Progress
from simulator.serving.tables_out import EndedTable
from simulator.serving.verdict import verdict

Stopped = Literal["", "interrupted", "overloaded"]
_EVERY_S = 1.0  # of the clock on the wall
_FIRST_VERDICT = 256  # requests: fewer show no trend
_MORE = 1.25  # times as many requests until the next verdict: all of them together cost what five at the end do


class ReplayWatch:
    """Looks at a replay once a second and says whether it goes on. `stopped`: why it did not.

    `n_requests`, `until_s`: where the replay ends, as far as known, for the time left. `ended`: takes the requests that
    have ended. `tells`: whether to say on stderr how far it is. `interrupted`: whether the user asked to stop.
    """

    def __init__(
        self, *, n_requests: int | None, until_s: float, ended: EndedTable | None, tells: bool, stops_overloaded: bool,
        interrupted: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.stopped: Stopped = ""
        self._n_requests, self._until_s = n_requests, until_s
        self._ended, self._tells, self._interrupted = ended, tells, interrupted
        self._next_verdict = float(_FIRST_VERDICT) if stops_overloaded else float("inf")
        self._began_s = time.monotonic()
        self._next_s = self._began_s + _EVERY_S
        self._n_ended, self._n_answered, self._waits_s = 0, 0, 0.0

    def __call__(self, progress: Progress) -> bool:
        """Return whether the replay goes on."""
        if self._interrupted():
            self.stopped = "interrupted"
        elif progress.n_arrived >= self._next_verdict:
            self._next_verdict = _MORE * progress.n_arrived
            self.stopped = "overloaded" if verdict(progress.so_far()) == "overloaded" else ""
        now_s = time.monotonic()
        if self.stopped or now_s >= self._next_s:
            self._look(progress, now_s - self._began_s)
            self._next_s = time.monotonic() + _EVERY_S
        return not self.stopped

    def _look(self, progress: Progress, passed_s: float) -> None:
        if self._ended is None and not self._tells:
            return
        rows = progress.take_ended()
        if self._ended is not None:
            with writing("--out", self._ended.folder):
                self._ended.add(rows)
        if self._tells:
            self._count(rows)
            err.print(self._words(progress, passed_s), markup=False)

    def _count(self, rows: pd.DataFrame) -> None:
        waits_s = (rows["first_token_s"] - rows["arrival_s"]).dropna()
        self._n_ended += len(rows)
        self._n_answered += len(waits_s)
        self._waits_s += float(waits_s.sum())

    def _words(self, progress: Progress, passed_s: float) -> str:
        of = f" of {self._n_requests:,}" if self._n_requests else ""
        share = max(self._n_ended / (self._n_requests or float("inf")), progress.time_s / self._until_s)
        left = f", {time_text(passed_s * (1.0 - share) / share)} left" if 0.0 < share < 1.0 else ""
        mean_s = self._waits_s / self._n_answered if self._n_answered else float("nan")
        return (
            f"{self._n_ended:,}{of} requests ended, {self._n_ended / passed_s:,.0f} per second{left}; "
            f"{progress.n_arrived - self._n_ended:,} in the system at {time_text(progress.time_s)}; "
            f"TTFT so far {time_text(mean_s)}"
        )
