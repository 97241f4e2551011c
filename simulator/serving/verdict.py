"""Does a deployment keep up with its requests? A verdict from the trend of the queue."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.serving.ledger import FULL_QUEUE

Verdict = Literal["stable", "backlogged", "overloaded"]
_TIMES = 400  # at which the queue is counted, while requests arrive
_GROWING = 0.05  # share of the arrivals that stay in the queue, or find it full: fewer than 95 % of them are served
_FEW = 8  # waiting requests that are no queue


def verdict(requests: pd.DataFrame, *, waits_until: str = "admitted_s") -> Verdict:
    """Return whether the queue keeps growing while requests arrive ("overloaded": of the arrivals between the second
    and the last quarter of that time more than 5 % stay in it; or, after the first quarter, find it full), is long but
    does not grow ("backlogged": in the last quarter more wait than run), or neither ("stable"). `waits_until`: the
    column of the moment from which a request waits no longer."""
    if _turned_away(requests) > _GROWING:
        return "overloaded"
    served = requests[requests["state"] != "rejected"]
    if len(served) < 2:
        return "stable"
    arrivals = served["arrival_s"].to_numpy()
    times = np.linspace(arrivals[0], arrivals[-1], _TIMES)
    arrived = np.searchsorted(arrivals, times, side="right")
    admitted, ended = (_counted(served[column].to_numpy(), times) for column in (waits_until, "end_s"))
    waiting, running = arrived - admitted, admitted - ended
    early, late = slice(_TIMES // 4, _TIMES // 2), slice(3 * _TIMES // 4, _TIMES)
    more = waiting[late].mean() - waiting[early].mean()
    came = arrived[late].mean() - arrived[early].mean()
    if more > max(_GROWING * came, _FEW):
        return "overloaded"
    return "backlogged" if waiting[late].mean() > max(running[late].mean(), _FEW) else "stable"


def _turned_away(requests: pd.DataFrame) -> float:
    """Share of the requests after the first quarter of the time of arrivals that found the queue full."""
    arrivals = requests["arrival_s"].to_numpy()
    if not len(arrivals):
        return 0.0
    late = arrivals >= arrivals[0] + (arrivals[-1] - arrivals[0]) / 4
    return float((requests["reason"] == FULL_QUEUE)[late].mean())


def _counted(moments_s: NDArray[np.float64], times_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of `moments_s` (NaN: never) have come at each time."""
    return np.searchsorted(np.sort(moments_s[~np.isnan(moments_s)]), times_s, side="right")
