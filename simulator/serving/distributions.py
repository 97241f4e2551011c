"""Mean and percentiles of times, each with its weight."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

PERCENTILES = (50, 90, 99)
_MOST_STEPS = 5_000_000  # of runs that are written out step by step; longer runs then stand as their mean


def spread(values_s: NDArray[np.float64]) -> Mapping[str, float]:
    """Return mean, p50, p90 and p99 (linear between ranks) [s]; NaN for no values."""
    if not len(values_s):
        return dict.fromkeys(["mean", *(f"p{p}" for p in PERCENTILES)], float("nan"))
    at = np.percentile(values_s, PERCENTILES)
    return {"mean": float(values_s.mean())} | {f"p{p}": float(v) for p, v in zip(PERCENTILES, at, strict=True)}


def weighted_spread(values_s: NDArray[np.float64], weights: NDArray[np.float64]) -> Mapping[str, float]:
    """Return mean, p50, p90 and p99 of values that occur `weights` times [s]: the least value with that share at or
    below it. A negative weight takes back as many of an equal value."""
    found = weighted_quantiles(values_s, weights, np.array(PERCENTILES) / 100.0)
    if not len(found):
        return spread(found)
    mean = float((values_s * weights).sum() / weights.sum())
    return {"mean": mean} | {f"p{p}": float(v) for p, v in zip(PERCENTILES, found, strict=True)}


def weighted_quantiles(
    values_s: NDArray[np.float64], weights: NDArray[np.float64], shares_P: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the P quantiles of values with weights, as `weighted_spread` does [s]; none of no values."""
    order = np.argsort(values_s, kind="stable")
    values_s, total = values_s[order], np.cumsum(weights[order])
    if not len(total) or total[-1] <= 0:
        return np.empty(0)
    ends = np.append(values_s[1:] != values_s[:-1], [True])  # equal values stand together
    values_s, total = values_s[ends], total[ends]
    places = np.searchsorted(total, shares_P * total[-1])
    found: NDArray[np.float64] = values_s[np.minimum(places, len(values_s) - 1)]
    return found


def steps_of(runs: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (seconds, sequences that decoded) of every step of `runs` with decodes in it."""
    runs = runs[runs["n_decode"] > 0]
    first_s, growth_s = runs["step_s"].to_numpy(), runs["growth_s"].to_numpy()
    n_steps, n_decode = runs["n_steps"].to_numpy(), runs["n_decode"].to_numpy().astype(float)
    if n_steps.sum() > _MOST_STEPS:
        return first_s + growth_s * (n_steps - 1) / 2, n_decode * n_steps
    index = np.arange(n_steps.sum()) - np.repeat(np.cumsum(n_steps) - n_steps, n_steps)
    return np.repeat(first_s, n_steps) + np.repeat(growth_s, n_steps) * index, np.repeat(n_decode, n_steps)
