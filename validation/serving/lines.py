"""Piecewise linear times between measured points."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Line:
    """Seconds over one axis: straight between the points, exact on them; the outermost piece goes on beyond them."""

    xs: Sequence[float]
    seconds: Sequence[float]

    def at(self, x: float) -> float:
        """Return the seconds at `x` [s]; of a single point its own, whatever x is."""
        left, share = bracket(self.xs, x)
        if share == 0.0:
            return self.seconds[left]
        return (1.0 - share) * self.seconds[left] + share * self.seconds[left + 1]

    def covers(self, x: float) -> bool:
        """Return whether `x` lies between measured points."""
        return self.xs[0] <= x <= self.xs[-1]


def bracket(xs: Sequence[float], x: float) -> tuple[int, float]:
    """Return the point left of `x` and the share of the way to the next; below 0 or above 1 outside the points."""
    if len(xs) == 1:
        return 0, 0.0
    left = min(max(bisect_right(xs, x) - 1, 0), len(xs) - 2)
    return left, (x - xs[left]) / (xs[left + 1] - xs[left])


def sum_of_lines(lines: Sequence[Line]) -> Line:
    """Return the sum, exact at every point of every line; 0 s without lines."""
    if not lines:
        return Line(xs=[0.0], seconds=[0.0])
    xs = sorted({x for line in lines for x in line.xs})
    return Line(xs=xs, seconds=np.sum([[line.at(x) for x in xs] for line in lines], axis=0).tolist())
