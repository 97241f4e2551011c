"""How a decoding sequence grows: one token per step, or as many as its drafts are accepted."""

from typing import NamedTuple

import numpy as np

from workloads.batch import Mtp

_DRAWN = 1 << 16  # steps drawn at once


class Growth(NamedTuple):
    """A sequence with `cached` tokens gains `tokens` in `n_steps` decode steps from number `from_step` on, spread
    evenly: ⌊i · tokens / n_steps⌋ after i steps."""

    cached: int
    from_step: int
    tokens: int
    n_steps: int

    @property
    def last_step(self) -> int:
        """The decode step after which the last token is out."""
        return self.from_step + self.n_steps

    def gained(self, step: int) -> int:
        """Return the tokens gained before decode step `step`."""
        return (step - self.from_step) * self.tokens // self.n_steps

    def mean_cached(self, step: int) -> float:
        """Return the cached tokens before decode step `step`, as a fraction where steps gain unevenly."""
        return self.cached + (step - self.from_step) * self.tokens / self.n_steps


class Plain:
    """One token per step."""

    queries = 1

    def n_steps(self, tokens: int) -> int:
        """Return the steps that bring `tokens`."""
        return tokens


class Speculation:
    """Drafts verified in each step: draft i is accepted with `acceptance[i]`, given that the one before was.

    How many steps a sequence needs is drawn, step by step, from one stream of draws that all sequences share.
    """

    def __init__(self, mtp: Mtp, *, seed: int) -> None:
        self.queries = 1 + mtp.n_draft
        self._survive = np.cumprod(np.asarray(mtp.acceptance[: mtp.n_draft], dtype=float))
        self._rng = np.random.default_rng([seed, _DRAWN])
        self._sum = np.zeros(1, dtype=np.int64)
        self._at = 0

    def n_steps(self, tokens: int) -> int:
        """Return the steps that bring `tokens` or more, by the next draws."""
        while self._sum[-1] - self._sum[self._at] < tokens:
            accepted = (self._rng.random(_DRAWN)[:, None] < self._survive).sum(axis=1) + 1
            kept = self._sum[self._at :] - self._sum[self._at]
            self._sum = np.concatenate([kept, kept[-1] + np.cumsum(accepted)])
            self._at = 0
        began, self._at = self._at, int(self._sum.searchsorted(self._sum[self._at] + tokens))
        return self._at - began


Law = Plain | Speculation


def growth_law(mtp: Mtp, *, seed: int) -> Law:
    """Return how sequences grow under a scenario's drafts."""
    return Speculation(mtp, seed=seed) if mtp.n_draft else Plain()
