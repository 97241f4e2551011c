"""A replay beside the run that it repeats: latencies request by request, quantiles, signed errors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.serving.replay import replay
from simulator.serving.results import ServingRun
from validation.serving.engine_setup import EngineSetup
from validation.serving.peer import peer_errors
from validation.serving.recorded_run import RecordedRun

BARS: Mapping[str, float] = {"tpot": 0.02, "latency": 0.025, "ttft": 0.05}
STATISTICS: Mapping[str, Callable[[NDArray[np.float64]], float]] = {
    "mean": lambda x: float(x.mean()),
    **{f"p{q}": (lambda x, q=q: float(np.percentile(x, q))) for q in (50, 90, 99)},  # type: ignore[misc]
}
WORDS: Mapping[str, str] = {
    "ttft": "time to first token", "tpot": "time per output token", "latency": "end-to-end latency",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One recorded run, its replay, and the rows that judge it."""

    run: RecordedRun
    setup: EngineSetup
    replayed: ServingRun
    rows: list[dict[str, Any]]


def compare(run: RecordedRun, setup: EngineSetup) -> Comparison:
    """Replay the run's own arrivals and lengths, and return how far every statistic is from the recorded one."""
    replayed = replay(
        iter([run.traffic()]), knobs=setup.knobs, step_times=setup.step_times, kv_blocks=setup.kv_blocks,
        n_replicas=setup.n_replicas, n_groups=setup.n_groups, router="fewest_waiting",
    )  # fmt: skip
    recorded, simulated = latencies(run.requests), latencies(replayed.requests)
    peer = peer_errors(run.folder)
    rows = [
        _row(run.name, metric, word, statistic(simulated[metric]), statistic(recorded[metric]))
        | {"peer_error": peer.get((metric, word))}
        for metric in BARS
        for word, statistic in STATISTICS.items()
    ]
    return Comparison(run=run, setup=setup, replayed=replayed, rows=rows)


def share_beyond_tables(comparison: Comparison) -> float:
    """Return the share of the replay's steps with more new tokens than the tables' dense layers were measured with."""
    steps, times = comparison.replayed.iterations, comparison.setup.step_times
    tokens = (steps["n_decode"] + steps["prefill_tokens"]) / times.n_groups
    beyond = [not times.covers(n) for n in tokens.clip(lower=1.0)]
    return float(steps["n_steps"][beyond].sum() / steps["n_steps"].sum())


def latencies(requests: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Return TTFT, TPOT (requests of two tokens or more) and end-to-end latency of the answered requests [s]."""
    done = requests[requests["end_s"].notna()]
    several = done[done["output_tokens"] > 1]
    return {
        "ttft": (done["first_token_s"] - done["arrival_s"]).to_numpy(float),
        "tpot": ((several["end_s"] - several["first_token_s"]) / (several["output_tokens"] - 1)).to_numpy(float),
        "latency": (done["end_s"] - done["arrival_s"]).to_numpy(float),
    }


def _row(run: str, metric: str, statistic: str, predicted_s: float, reference_s: float) -> dict[str, Any]:
    error = predicted_s / reference_s - 1.0
    return {
        "id": f"{run} {metric} {statistic}", "what": WORDS[metric], "unit": "s", "predicted": predicted_s,
        "reference": reference_s, "rel_error": error, "tolerance": BARS[metric], "ok": abs(error) <= BARS[metric],
    }  # fmt: skip
