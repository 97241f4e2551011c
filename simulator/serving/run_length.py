"""How many steps, each a little longer than the one before, fit into a time."""

from math import ceil, sqrt


def took_s(n_steps: int, first_s: float, growth_s: float) -> float:
    """Return the seconds of so many steps: step i lasts first + i · growth [s]."""
    return n_steps * first_s + growth_s * (n_steps * (n_steps - 1) / 2)


def steps_before(room_s: float, first_s: float, growth_s: float, most: int) -> int:
    """Return the fewest steps, `most` or fewer, that take `room_s` or more: step i lasts first + i · growth [s]."""
    if first_s <= 0.0 and growth_s <= 0.0:
        return most
    if took_s(most, first_s, growth_s) < room_s:
        return most
    half = first_s - growth_s / 2  # n² · growth / 2 + n · half = room
    n = ceil(room_s / first_s if growth_s <= 0.0 else 2 * room_s / (half + sqrt(half * half + 2 * growth_s * room_s)))
    n = min(max(n, 1), most)
    while n > 1 and took_s(n - 1, first_s, growth_s) >= room_s:  # the root is rounded; the sum decides
        n -= 1
    while n < most and took_s(n, first_s, growth_s) < room_s:
        n += 1
    return n
