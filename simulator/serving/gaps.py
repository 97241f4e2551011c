"""Gaps between the tokens of a request, and runs of steps: kept by run of like steps, not by token."""

from array import array

import numpy as np
import pandas as pd
from numpy.typing import NDArray

RUN_COLUMNS = ("replica", "start_s", "n_steps", "step_s", "growth_s", "n_decode", "prefill_tokens")


class StepLog:
    """Every step of a replica, by runs: step i of a run lasts `step_s + i · growth_s`; gaps that are no step's length
    (decodes that waited while prompts went first, sequences that were preempted) stand apart with their number."""

    def __init__(self) -> None:
        self._numbers = array("d")
        self._odd = array("d")

    def run(self, run: tuple[float, int, float, float, int, int]) -> None:
        """Note a run of steps: the values of RUN_COLUMNS from `start_s` on."""
        self._numbers.extend(run)

    def odd_gap(self, gap_s: float, n: int) -> None:
        """Note that `n` sequences waited `gap_s` for their next token, instead of the step's length."""
        self._odd.extend((gap_s, n))

    def table(self, replica: int) -> pd.DataFrame:
        """Return the runs, RUN_COLUMNS [s]; n_decode counts the sequences whose gap is the step's length."""
        numbers = np.frombuffer(self._numbers, dtype=float).reshape(-1, len(RUN_COLUMNS) - 1) if self._numbers else (
            np.empty((0, len(RUN_COLUMNS) - 1))
        )  # fmt: skip
        table = pd.DataFrame(numbers, columns=list(RUN_COLUMNS[1:]))
        table.insert(0, "replica", replica)
        return table.astype({"n_steps": np.int64, "n_decode": np.int64, "prefill_tokens": np.int64})

    def odd_gaps(self) -> NDArray[np.float64]:
        """Return (gap [s], number of tokens) of the gaps that are no step's length."""
        return np.array(self._odd, dtype=float).reshape(-1, 2)
