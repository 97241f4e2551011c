"""What the steps of a replica take beyond their work: routing that is drawn, and experts that get new places."""

from dataclasses import dataclass, field
from math import sqrt

import numpy as np

from simulator.serving.replacing import Replacing
from simulator.serving.routing_noise import NOTHING, Added, RoutingNoise
from simulator.serving.run_length import steps_before

_DRAWN = 6  # tells these draws from others of the seed


class ReplicaSurcharges:
    """Surcharges on the steps of one replica. `rng`: of their noise; None: their mean alone."""

    def __init__(self, routing: RoutingNoise | None, replacing: Replacing, rng: np.random.Generator | None) -> None:
        self._routing = routing
        self._replacing = replacing
        self._rng = rng

    def decodes(self, n_decode: int) -> Added:
        """Return what the draw of its routing adds to each step of a run of decodes."""
        return self._routing.decodes(n_decode) if self._routing else NOTHING

    def with_prompts_s(self, n_decode: int, prefill_tokens: int) -> float:
        """Return what the draw of its routing adds to one step with prompts [s]."""
        if not self._routing:
            return 0.0
        added = self._routing.with_prompts(n_decode, prefill_tokens)
        return added.mean_s + self._drawn() * added.spread_s

    def waits_s(self, n_done: int) -> float:
        """Return what the step after `n_done` others waits for experts [s]."""
        return self._replacing.waits(n_done).each_s

    def run(
        self, first_s: float, growth_s: float, *, room_s: float, most: int, spread_s: float, n_done: int
    ) -> tuple[float, int]:
        """Return the seconds of the first step of a run of decodes after `n_done` steps, and how many the run has: the
        fewest that take `room_s` [s], `most` or fewer, and no more than wait for experts as long as the first.

        The sum of n noisy steps has n times the variance of one. It is drawn at once, and every step of the run has the
        same part of it; a step never takes less than nothing. n is the number without noise, which noise changes
        little.
        """
        waits = self._replacing.waits(n_done)
        first_s, most = first_s + waits.each_s, min(most, waits.n_steps)
        n = steps_before(room_s, first_s, growth_s, most)
        if self._rng is None or spread_s <= 0.0:
            return first_s, n
        first_s = max(first_s + self._drawn() * spread_s / sqrt(n), 0.0)
        return first_s, steps_before(room_s, first_s, growth_s, most)

    def _drawn(self) -> float:
        return float(self._rng.standard_normal()) if self._rng else 0.0


@dataclass(frozen=True, kw_only=True)
class Surcharges:
    """Surcharges of replicas that are alike. `routing`: by drawn loads, None: none; `noisy`: a draw for each step, not
    their mean alone."""

    routing: RoutingNoise | None = None
    noisy: bool = False
    replacing: Replacing = field(default_factory=Replacing)

    @property
    def word(self) -> str:
        """What `serving.routing_noise` says."""
        if self.routing is None:
            return "none"
        return "sample" if self.noisy else "mean"

    def of(self, *, seed: int, number: int) -> ReplicaSurcharges:
        """Return those of replica `number`; the same for the same seed."""
        rng = np.random.default_rng([seed, _DRAWN, number]) if self.routing and self.noisy else None
        return ReplicaSurcharges(self.routing, self.replacing, rng)


NO_SURCHARGES = Surcharges()
