"""How sure an answer is: the 10-90 % interval of a step, by resampling what its critical path was priced with.

Every curve (and every roofline source) on the path draws one log error per sample, for all its ops at once: errors of a
fit are common to the kernels it prices. The path stays the same, so this is first order: an error large enough to move
the path counts as if it did not. K distinct origins, S samples.
"""

import numpy as np
import pandas as pd

from simulator.simulate import Run
from workloads.ops import FloatArray

N_SAMPLES = 512
NORMAL_90 = 1.2815515655446004  # the 90 % quantile of the standard normal
PER_DOUBLING = 1.0  # assumed: each doubling outside the measured range widens an interval by its own width
# 10-90 % log errors of costs without a fit. Assumed: kernels of one family spread by about this much around one share.
UNFITTED_LOG = {"measured": 0.02, "fitted": 0.05, "published": 0.10, "datasheet": 0.20, "assumed": 0.25}


def step_interval_s(run: Run, path: pd.DataFrame, *, seed: int) -> tuple[float, float]:
    """Return the 10 and 90 % quantiles of the step's makespan [s]."""
    origin_of: dict[tuple[str, float], tuple[float, float]] = {}
    keys = []
    for op_id, source, beyond in zip(path["op_id"], path["source"], path["beyond"], strict=True):
        curve = run.costs[op_id].curve
        name = f"{curve.family}|{curve.group}" if curve else str(source)
        low, high = curve.residual_log_10_90 if curve else (-UNFITTED_LOG[source], UNFITTED_LOG[source])
        if low == high:  # a published rule without residuals
            low, high = -UNFITTED_LOG[source], UNFITTED_LOG[source]
        keys.append((name, round(float(beyond), 6)))
        origin_of[keys[-1]] = (low, high)
    origins = sorted(origin_of)
    time_K = np.zeros(len(origins))
    for key, time_s in zip(keys, path["time_s"], strict=True):
        time_K[origins.index(key)] += time_s
    sampled_S = _factors([origin_of[o] for o in origins], [o[1] for o in origins], seed) @ time_K
    low_s, high_s = np.quantile(sampled_S, [0.1, 0.9])
    makespan = float(path["time_s"].sum())
    return min(float(low_s), makespan), max(float(high_s), makespan)


def _factors(logs: list[tuple[float, float]], beyond: list[float], seed: int) -> FloatArray:
    """Factors on time, (S, K): lognormal with these 10 and 90 % quantiles, wider outside the measured range."""
    rng = np.random.default_rng([seed, 3])
    low_K, high_K = np.array(logs).T
    spread_K = (high_K - low_K) / 2.0 / NORMAL_90 * (1.0 + PER_DOUBLING * np.array(beyond))
    return np.asarray(np.exp((low_K + high_K) / 2.0 + spread_K * rng.standard_normal((N_SAMPLES, len(logs)))))


def intervals(metrics: dict[str, float], low_s: float, high_s: float) -> dict[str, tuple[float, float]]:
    """Return (low, high) of every metric that is proportional to the step's time or to its inverse."""
    step_s = metrics["step_s"]
    found: dict[str, tuple[float, float]] = {}
    for name in ("step_s", "tpot_s", "usd_per_million_output_tokens", "usd_per_million_input_tokens"):
        if name in metrics:
            found[name] = (metrics[name] * low_s / step_s, metrics[name] * high_s / step_s)
    for name in ("tokens_per_s_per_user", "tokens_per_s_per_gpu"):
        if name in metrics:
            found[name] = (metrics[name] * step_s / high_s, metrics[name] * step_s / low_s)
    return found
