"""While a sweep runs: how far it is, how fast and how long it will take, on stderr."""

import time
from collections.abc import Callable

from simulator.console import err
from simulator.report.formats import number_text, time_text
from simulator.sweep_runs import Tally

_EVERY_S = 1.0  # on a terminal
_EVERY_S_IN_A_FILE = 10.0


class SweepWatch:
    """Called with the tally of a sweep, says whether it goes on. `tells`: whether to say how far it is. `interrupted`:
    whether the user asked to stop."""

    def __init__(self, *, tells: bool, interrupted: Callable[[], bool]) -> None:
        self.stopped = False
        self._tells, self._interrupted = tells, interrupted
        self._began_s = time.monotonic()
        self._every_s = _EVERY_S if err.is_terminal else _EVERY_S_IN_A_FILE
        self._next_s = self._began_s + self._every_s

    def __call__(self, tally: Tally) -> bool:
        """Return whether the sweep goes on."""
        if self._interrupted() and not self.stopped:
            self.stopped = True
            err.print("interrupted: what is under way is finished and stored; once more stops at once", markup=False)
        now_s = time.monotonic()
        if self._tells and now_s >= self._next_s:
            err.print(progress_words(tally, now_s - self._began_s), markup=False)
            self._next_s = now_s + self._every_s
        return not self.stopped


def progress_words(tally: Tally, passed_s: float) -> str:
    """Return how far a sweep is after so many seconds: of what it computes, the rate and the time left."""
    words = f"{tally.done:,} of {tally.n:,} runs"
    if tally.stored:
        words += f" ({tally.stored:,} from the store)"
    n_now = tally.computed + len(tally.failures)
    if not n_now:
        return words
    rate_per_s = n_now / passed_s
    return f"{words}, {number_text(rate_per_s)} per second, {time_text((tally.n - tally.done) / rate_per_s)} left"
