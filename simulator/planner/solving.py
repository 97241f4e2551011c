"""Numbers at which something begins to hold, and the knots between which step times lie."""

from collections.abc import Callable
from math import sqrt

from simulator.serving.knots import half_octaves

_CLOSE = 1e-4  # relative: where bisection ends


def bisect(holds: Callable[[float], bool], most: float) -> float | None:
    """Return the largest positive number up to `most` for which `holds` is true, to `_CLOSE`; None where it is false
    for a thousandth of it."""
    if holds(most):
        return most
    low, high = most * 1e-3, most
    if not holds(low):
        return None
    while high / low > 1.0 + _CLOSE:
        middle = sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def largest(holds: Callable[[int], bool], most: int, first: int = 1) -> int:
    """Return the largest whole number up to `most` for which `holds` is true (0: none). Knots around `first` are asked
    before others; a number between two of them lies on a straight line, and costs nothing new."""
    low = around(max(1, min(first, most)))[0]
    while low >= 1 and not holds(low):
        low = around(low - 1)[0] if low > 1 else 0
    high = around(low)[1] if low else 0
    while low and high <= most and holds(high):
        low, high = high, around(high)[1]
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def around(sequences: float) -> tuple[int, int]:
    """The half octaves around a number, at least 1; one on a knot is the lower of the two."""
    between = half_octaves(int(sequences))
    return between.low, between.high


def mean_below(most: float, z: float) -> float:
    """The n with n + z √n = most."""
    root = (-z + sqrt(z * z + 4.0 * most)) / 2.0
    return root * root
