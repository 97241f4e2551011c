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
STATES = ("running", "running", "done", "rejected")  # by number of the ledger; who waits is still to be answered
RunTables = Sequence[pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class ServingRun:
    """One run. `requests`: REQUEST_COLUMNS, in arrival order, times since the stream began [s], NaN for what never
    came, `reason` only of rejected ones; `samples`: `samples.SAMPLE_COLUMNS`; `iterations`: `gaps.RUN_COLUMNS`;
    `odd_gaps_N2`: gaps that are no step's length [s] and how many tokens had them (fewer, where negative, of the
    steps'); `end_s`: when the last step ended; `n_steps`, `busy_s`: of all replicas together."""

    requests: pd.DataFrame
    samples: pd.DataFrame
    iterations: pd.DataFrame
    odd_gaps_N2: NDArray[np.float64]
    knobs: BackendKnobs
    n_replicas: int
    end_s: float
    n_steps: int
    busy_s: float


def collect(ledger: Ledger, replicas: Sequence[Replica], knobs: BackendKnobs) -> ServingRun:
    """Return the tables of a run that is over, or of one under way."""
    return ServingRun(
        requests=_request_table(ledger),
        samples=pd.concat([r.sampler.table(i) for i, r in enumerate(replicas)], ignore_index=True),
        iterations=pd.concat([r.step_log.table(i) for i, r in enumerate(replicas)], ignore_index=True),
        odd_gaps_N2=np.concatenate([r.step_log.odd_gaps() for r in replicas]),
        knobs=knobs,
        n_replicas=len(replicas),
        end_s=max(r.now_s for r in replicas),
        n_steps=sum(r.n_steps for r in replicas),
        busy_s=sum(r.busy_s for r in replicas),
    )


def _request_table(ledger: Ledger) -> pd.DataFrame:
    n = len(ledger.state)
    reasons = np.full(n, "", dtype=object)
    for request, reason in ledger.reasons.items():
        reasons[request] = reason
    columns = {
        "request": np.arange(n),
        "arrival_s": np.array(ledger.arrival_s, dtype=float),
        "admitted_s": np.array(ledger.admitted_s, dtype=float),
        "first_token_s": np.array(ledger.first_token_s, dtype=float),
        "end_s": np.array(ledger.end_s, dtype=float),
        "prompt_tokens": np.array(ledger.prompt_tokens, dtype=np.int64),
        "output_tokens": np.array(ledger.output_tokens, dtype=np.int64),
        "hit_tokens": np.array(ledger.hit_tokens, dtype=np.int64),
        "preemptions": np.array(ledger.preemptions, dtype=np.int64),
        "replica": np.array(ledger.replica, dtype=np.int64),
        "state": pd.Categorical(np.array(STATES, dtype=object)[np.array(ledger.state, dtype=int)]),
        "reason": pd.Categorical(reasons),
    }
    return pd.DataFrame(columns)[list(REQUEST_COLUMNS)]
