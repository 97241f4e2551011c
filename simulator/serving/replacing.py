"""Experts that are placed anew every so many steps of a replica: which steps wait for their weights, and how long."""

from dataclasses import dataclass
from typing import NamedTuple

FOREVER = 1 << 60


class Waits(NamedTuple):
    """Seconds that each of the next `n_steps` steps waits for the weights of moved experts."""

    each_s: float
    n_steps: int


@dataclass(frozen=True, kw_only=True)
class Replacing:
    """After every `every_steps` steps (0: never) the experts get new places; to fetch their weights takes `seconds`,
    in equal parts before each of the next `spread_steps` steps, `every_steps` of them at most."""

    every_steps: int = 0
    spread_steps: int = 1
    seconds: float = 0.0

    def waits(self, n_done: int) -> Waits:
        """Return what the steps after the first `n_done` wait."""
        every = self.every_steps
        if not every:
            return Waits(0.0, FOREVER)
        since = n_done % every
        if n_done >= every and since < self.spread_steps:
            return Waits(self.seconds / self.spread_steps, self.spread_steps - since)
        return Waits(0.0, every - since)

    def so_far(self, n_done: int) -> tuple[int, float]:
        """Return how many times the experts of a replica have begun to move in its first `n_done` steps, and the
        seconds of those steps that waited for them."""
        if not self.every_steps or n_done <= self.every_steps:
            return 0, 0.0
        whole, rest = divmod(n_done, self.every_steps)
        parts = (whole - 1) * self.spread_steps + min(rest, self.spread_steps)
        return whole if rest else whole - 1, parts * self.seconds / self.spread_steps
