"""What serving a stream of requests came to: a row per request, samples over time, runs of steps; their metrics."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import Ledger
from simulator.serving.replica import Replica

REQUEST_COLUMNS = (
    "request", "arrival_s", "admitted_s", "first_token_s", "end_s", "prompt_tokens", "output_tokens", "hit_tokens",
    "preemptions", "replica", "state", "reason",
)  # fmt: skip
STATES = ("done", "rejected", "running")
_STATE_CODES = (2, 2, 0, 1)  # by number of the ledger; who waits is still to be answered
RunTables = Sequence[pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class ServingRun:
    """One run. `requests`: REQUEST_COLUMNS, in arrival order, times since the stream began [s], NaN for what never
    came, `reason` only of rejected ones; `samples`: `samples.SAMPLE_COLUMNS`; `iterations`: `gaps.RUN_COLUMNS`;
    `odd_gaps_N2`: gaps that are no step's length [s] and how many tokens had them (fewer, where negative, of the
    steps'); `clock_s_R`: when the last step of each of R replicas ended [s]; `busy_s_R`: of all its steps [s];
    `n_steps`, `n_wasted`, `present_s`: of all replicas together, `n_wasted` the steps of sequences that had been
    answered, `present_s` the requests that the schedulers counted, times the seconds that they stood so."""

    requests: pd.DataFrame
    samples: pd.DataFrame
    iterations: pd.DataFrame
    odd_gaps_N2: NDArray[np.float64]
    knobs: BackendKnobs
    clock_s_R: NDArray[np.float64]
    present_s: float
    n_steps: int
    n_wasted: int
    busy_s_R: NDArray[np.float64]

    @property
    def busy_s(self) -> float:
        """Seconds in which a step ran, of all replicas together."""
        return float(self.busy_s_R.sum())

    @property
    def n_replicas(self) -> int:
        """How many replicas served."""
        return len(self.clock_s_R)

    @property
    def end_s(self) -> float:
        """When the last step of all ended [s]."""
        return float(self.clock_s_R.max())


def collect(ledger: Ledger, replicas: Sequence[Replica], knobs: BackendKnobs, n_requests: int) -> ServingRun:
    """Return the tables of a run that is over, or of one under way, of its first `n_requests`."""
    return ServingRun(
        requests=request_table(ledger, np.arange(n_requests)),
        samples=pd.concat([r.record.sampler.table(i) for i, r in enumerate(replicas)], ignore_index=True),
        iterations=pd.concat([r.record.step_log.table(i) for i, r in enumerate(replicas)], ignore_index=True),
        odd_gaps_N2=np.concatenate([r.record.step_log.odd_gaps() for r in replicas]),
        knobs=knobs,
        clock_s_R=np.array([r.now_s for r in replicas]),
        present_s=sum(r.record.present_s for r in replicas),
        n_steps=sum(r.record.n_steps for r in replicas),
        n_wasted=sum(r.record.n_wasted for r in replicas),
        busy_s_R=np.array([r.record.busy_s for r in replicas]),
    )


def request_table(ledger: Ledger, requests_N: NDArray[np.int64]) -> pd.DataFrame:
    """Return a row for each of N requests, by number: REQUEST_COLUMNS."""
    columns: dict[str, object] = {"request": requests_N}
    for name in REQUEST_COLUMNS[1:-2]:
        columns[name] = np.asarray(getattr(ledger, name))[requests_N]
    states = np.array(_STATE_CODES)[np.asarray(ledger.state)[requests_N]]
    columns["state"] = pd.Categorical(STATES, categories=STATES).take(states)
    reasons = pd.Categorical(ledger.reasons)
    columns["reason"] = reasons.take(np.asarray(ledger.reason)[requests_N])
    return pd.DataFrame(columns)
