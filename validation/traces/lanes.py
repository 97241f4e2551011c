"""Lanes of a stream: what overlaps on one stream of a trace lies in several of ours, which never overlap themselves."""

import numpy as np

from workloads.ops import FloatArray, IntArray


def outermost(start_us: FloatArray, end_us: FloatArray, slack_us: float) -> IntArray:
    """Return where the ranges stand that lie in no other, by start; of equal ones the first. `slack_us`: rounding."""
    order = np.lexsort((-end_us, start_us))
    reach = _reach_before(end_us[order])
    inside = (start_us[order] < reach) & (end_us[order] <= reach + slack_us)
    return order[~inside]


def lanes(start_us: FloatArray, end_us: FloatArray, slack_us: float) -> IntArray:
    """Return the lane of each range, the first that is free: all 0 where none overlaps another by over `slack_us`."""
    order = np.argsort(start_us, kind="stable")
    lane = np.zeros(len(order), dtype=np.int64)
    if np.all(start_us[order] >= _reach_before(end_us[order]) - slack_us):
        return lane
    free_us: list[float] = []
    for at in order.tolist():
        until_us, chosen = start_us[at] + slack_us, len(free_us)
        chosen = next((number for number, free in enumerate(free_us) if free <= until_us), chosen)
        free_us[chosen : chosen + 1] = [float(end_us[at])]
        lane[at] = chosen
    return lane


def _reach_before(end_us: FloatArray) -> FloatArray:
    """The latest end of all ranges before each."""
    return np.concatenate([[-np.inf], np.maximum.accumulate(end_us)[:-1]]) if len(end_us) else end_us
