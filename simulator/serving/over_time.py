"""Means over time and peaks of what replicas were sampled for."""

from collections.abc import Mapping

import pandas as pd


def over_time(samples: pd.DataFrame, name: str) -> Mapping[str, float]:
    """Return `mean` over time, each sample holding until the next of its replica, and `peak` of a column."""
    lasted_s = -samples.groupby("replica")["time_s"].diff(-1).fillna(0.0)
    whole_s = float(lasted_s.sum())
    mean = float((samples[name] * lasted_s).sum()) / whole_s if whole_s > 0.0 else float("nan")
    return {"mean": mean, "peak": float(samples[name].max())}
