"""Metrics of a serving run: latencies, throughput, goodput, cost, and what the cache and the scheduler did."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.serving.distributions import spread, steps_of, weighted_quantiles, weighted_spread
from simulator.serving.littles_law import littles_law_gap
from simulator.serving.over_time import over_time
from simulator.serving.results import ServingRun
from simulator.serving.verdict import verdict


@dataclass(frozen=True, kw_only=True)
class Slo:
    """What a request is promised: time to its first token, mean time per token after it [s]; None: nothing."""

    ttft_s: float | None = None
    tpot_s: float | None = None


def request_latencies(requests: pd.DataFrame) -> pd.DataFrame:
    """Return `ttft_s` (arrival to first token), `tpot_s` (mean gap after it; NaN for one token) and `e2e_s` of every
    request that is done [s]."""
    done = requests[requests["state"] == "done"]
    after = (done["output_tokens"] - 1).where(done["output_tokens"] > 1)
    return pd.DataFrame(
        {
            "ttft_s": done["first_token_s"] - done["arrival_s"],
            "tpot_s": (done["end_s"] - done["first_token_s"]) / after,
            "e2e_s": done["end_s"] - done["arrival_s"],
        }
    )


def serving_metrics(
    run: ServingRun, *, slo: Slo | None = None, n_gpus: int = 1, usd_per_gpu_hour: float = 0.0, n_prefill: int = 0
) -> Mapping[str, Any]:
    """Return the metrics of a run on `n_gpus` GPUs in all; latencies as mean, p50, p90 and p99 [s].

    `itl_s`: every gap between tokens of a request, weighted by the tokens that had it. Rates are over the time from the
    first arrival to the end of the last step. `goodput_per_s`, `slo_share`: requests that met the SLO per second, and
    as a share of all that were not still running. `waiting`, `running` [requests], `kv_used_share`: of a replica, mean
    and peak of the samples over time. `mean_in_system`: L of Little's law, as the schedulers counted it.
    `wasted_share`: of the decodes in steps, those of requests that had been answered before in the same iteration.
    Where the first `n_prefill` replicas only compute prompts, a request waits until its cache is where it is answered.
    """
    requests = run.requests
    latencies = request_latencies(requests)
    state = requests["state"]
    elapsed_s = max(0.0, run.end_s - float(requests["arrival_s"].min())) if len(requests) else 0.0
    done = requests[state == "done"]
    tokens, good = int(done["output_tokens"].sum()), _met(latencies, slo or Slo())
    n_ended = int((state != "running").sum())
    gpu_s = elapsed_s * n_gpus
    return {
        "n_requests": len(requests),
        **{f"n_{name}": int((state == name).sum()) for name in ("done", "rejected", "running")},
        "elapsed_s": elapsed_s,
        "ttft_s": spread(latencies["ttft_s"].to_numpy()),
        "tpot_s": spread(latencies["tpot_s"].dropna().to_numpy()),
        "itl_s": weighted_spread(*_gaps(run)),
        "e2e_s": spread(latencies["e2e_s"].to_numpy()),
        "requests_per_s": _per(len(done), elapsed_s),
        "goodput_per_s": _per(good, elapsed_s),
        "slo_share": _per(good, n_ended),
        "output_tokens_per_s": _per(tokens, elapsed_s),
        "tokens_per_s_per_gpu": _per(tokens, gpu_s),
        "tokens_per_s_per_user": _per(1.0, float(latencies["tpot_s"].mean())),
        "usd_per_million_output_tokens": _per(gpu_s / 3600.0 * usd_per_gpu_hour * 1e6, tokens),
        "busy_share": _per(run.busy_s, elapsed_s * run.n_replicas),
        **{name: over_time(run.samples, name) for name in ("waiting", "running", "kv_used_share")},
        "mean_in_system": _per(run.present_s, elapsed_s),
        "littles_law_gap": littles_law_gap(run),
        "hit_share": _per(int(done["hit_tokens"].sum()), int(done["prompt_tokens"].sum())),
        "n_preemptions": int(requests["preemptions"].sum()),
        "n_steps": run.n_steps,
        "wasted_share": _per(run.n_wasted, _decoded(run) + run.n_wasted),
        "verdict": verdict(requests, waits_until="first_token_s" if n_prefill else "admitted_s"),
    }


def gap_quantiles(run: ServingRun, shares_P: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the P quantiles of the gaps between tokens, every gap of every request [s]; none where no token followed
    another."""
    return weighted_quantiles(*_gaps(run), shares_P)


def _gaps(run: ServingRun) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds of the gaps between tokens, and how many tokens had each."""
    seconds, weights = steps_of(run.iterations)
    odd = run.odd_gaps_N2
    return np.concatenate([seconds, odd[:, 0]]), np.concatenate([weights, odd[:, 1]])


def _decoded(run: ServingRun) -> int:
    """Decodes in steps, each of them once per step."""
    return int((run.iterations["n_decode"] * run.iterations["n_steps"]).sum())


def _met(latencies: pd.DataFrame, slo: Slo) -> int:
    met = pd.Series(True, index=latencies.index)
    if slo.ttft_s is not None:
        met &= latencies["ttft_s"] <= slo.ttft_s
    if slo.tpot_s is not None:
        met &= latencies["tpot_s"].fillna(0.0) <= slo.tpot_s
    return int(met.sum())


def _per(amount: float, of: float) -> float:
    return amount / of if of > 0.0 else float("nan")
