"""The sequences of one scheduler that decode: they grow together, from step to step."""

from simulator.serving.growth import Growth, Law
from simulator.serving.longest import Longest


class Decodes:
    """`n` sequences with `context` cached tokens in all, `growth_per_step` more after each step; `step` counts the
    steps so far; `growing`: each of them by its request; `queries`: tokens of each in a step, drafts included."""

    def __init__(self, law: Law) -> None:
        self.n = self.step = 0
        self.context = self.growth_per_step = 0.0
        self.growing: dict[int, Growth] = {}
        self.queries = law.queries
        self._law = law
        self._longest = Longest()

    @property
    def longest(self) -> int:
        """Cached tokens of the longest."""
        return self._longest.cached(self.growing, self.step)

    def last_step(self, request: int) -> int:
        """Return the decode step after which a request is done."""
        return self.growing[request].last_step

    def join(self, request: int, *, cached: int, tokens: int) -> Growth:
        """A request with `cached` tokens decodes from the next step on, until it has `tokens` more."""
        growth = Growth(cached, self.step, tokens, self._law.n_steps(tokens))
        self.n += 1
        self.context += cached
        self.growth_per_step += tokens / growth.n_steps
        self.growing[request] = growth
        self._longest.join(request, growth)
        return growth

    def grow(self, n_steps: int) -> None:
        """Every sequence has taken part in `n_steps` steps."""
        self.step += n_steps
        self.context += self.growth_per_step * n_steps

    def leave(self, request: int) -> Growth:
        """Take a request out, done or not."""
        growth = self.growing.pop(request)
        self.n -= 1
        if self.n:
            self.context -= growth.mean_cached(self.step)
            self.growth_per_step -= growth.tokens / growth.n_steps
        else:  # nothing is left of rounding either
            self.context = self.growth_per_step = 0.0
        return growth
