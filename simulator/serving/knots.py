"""Where step times are computed exactly, so that straight lines between follow them closely."""

from dataclasses import dataclass
from math import ceil, floor, log2

ROW_TILE = 128  # rows of a GEMM's output tile (simulator/costs): its time jumps where one more is begun
_SMALL_TILE = 64  # rows of the tiles that kernels take for few rows
_FEW_ROWS = 1024  # rows up to which a jump of the smaller tile still shows


@dataclass(frozen=True, slots=True)
class Between:
    """A place between two knots, and the upper knot's `weight`, 0 where the place is the lower one."""

    low: int
    high: int
    weight: float


def token_knots(tokens: int, n_groups: int) -> Between:
    """Return the knots around a number of tokens that `n_groups` attention groups share: half octaves up to one small
    tile of rows per group, then both ends of each tile, since times jump from one tile to the next and are nearly
    straight within."""
    tile = (_SMALL_TILE if tokens <= _FEW_ROWS * n_groups else ROW_TILE) * n_groups
    if tokens <= tile:
        between = half_octaves(tokens)
        high = min(between.high, tile)
        return Between(between.low, high, _weight(tokens, between.low, high))
    tiles = ceil(tokens / tile) - 1
    low, high = tiles * tile + n_groups, (tiles + 1) * tile
    return Between(low, high, _weight(max(tokens, low), low, high))


def octaves(value: float, *, least: int = 1, per_octave: int = 1) -> Between:
    """Return the knots around a value: 0, `least`, then `per_octave` to each doubling."""
    if value < least:
        return Between(0, least, value / least)
    at = floor(log2(value / least) * per_octave + 1e-9)
    low, high = (round(least * 2 ** (i / per_octave)) for i in (at, at + 1))
    return Between(low, high, _weight(value, low, high))


def half_octaves(tokens: int) -> Between:
    """Return the knots around a whole number: 1, 2, 3, 4, 6, 8, 12 and so on."""
    power = 1 << (tokens.bit_length() - 1)
    middle = power + power // 2
    low, high = (power, middle) if tokens < middle else (middle, 2 * power)
    return Between(low, high, _weight(tokens, low, high))


def _weight(value: float, low: int, high: int) -> float:
    return (value - low) / (high - low) if high > low else 0.0
