"""How many tokens prompts and replies have: laws from which lengths are drawn."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from workloads.ops import FloatArray, IntArray


class Lengths(Protocol):
    """A law of lengths [tokens]."""

    def draw(self, n: int, rng: np.random.Generator) -> IntArray:
        """Return `n` lengths, each at least 1; equal however many draws they are spread over."""


@dataclass(frozen=True)
class Fixed:
    """Always `tokens`."""

    tokens: int

    def draw(self, n: int, rng: np.random.Generator) -> IntArray:
        """Return `n` times the same length."""
        return np.full(n, self.tokens, dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class Lognormal:
    """Lognormal of this mean [tokens] and coefficient of variation, rounded, not below 1; `most_tokens` (0: none) cuts
    longer ones to it."""

    mean_tokens: float
    cv: float
    most_tokens: int = 0

    def draw(self, n: int, rng: np.random.Generator) -> IntArray:
        """Return `n` independent lengths."""
        most = self.most_tokens or np.iinfo(np.int32).max  # a longer prompt than 2³¹ fits nowhere
        return np.clip(np.rint(lognormal(self.mean_tokens, self.cv, n, rng)), 1, most).astype(np.int64)


@dataclass(frozen=True)
class Empirical:
    """One of the recorded lengths `tokens_N`, each as likely, drawn with replacement."""

    tokens_N: IntArray

    def draw(self, n: int, rng: np.random.Generator) -> IntArray:
        """Return `n` of the recorded lengths."""
        return self.tokens_N[rng.integers(len(self.tokens_N), size=n)]


def lognormal(mean: float, cv: float, n: int, rng: np.random.Generator) -> FloatArray:
    """Return `n` lognormal values of mean `mean` and coefficient of variation `cv`; all the mean if either is 0."""
    if mean == 0.0 or cv == 0.0:
        return np.full(n, mean)
    sigma = np.sqrt(np.log1p(cv**2))
    return rng.lognormal(np.log(mean) - sigma**2 / 2.0, sigma, size=n)
