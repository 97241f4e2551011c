"""When requests come: endless streams of times of arrival [s], in chunks, from time 0 on."""

from collections.abc import Callable, Iterator

import numpy as np

from workloads.ops import FloatArray

CHUNK = 65_536
DAY_S = 86_400.0


def constant(*, rate_per_s: float) -> Iterator[FloatArray]:
    """Yield arrivals exactly 1/rate apart, the first at 0."""
    first = 0
    while True:
        yield np.arange(first, first + CHUNK) / rate_per_s
        first += CHUNK


def poisson(*, rate_per_s: float, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield a Poisson process: gaps are exponential of mean 1/rate."""
    return _from_gaps(lambda: rng.exponential(1.0 / rate_per_s, CHUNK))


def gamma(*, rate_per_s: float, cv: float, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield arrivals whose gaps are gamma of mean 1/rate and coefficient of variation `cv`: shape 1/cv² (vLLM's
    `--burstiness`). Above 1 requests come in bursts, 1 is Poisson."""
    shape = 1.0 / cv**2
    return _from_gaps(lambda: rng.gamma(shape, 1.0 / (rate_per_s * shape), CHUNK))


def daily(*, rate_per_s: float, peak: float, rng: np.random.Generator, period_s: float = DAY_S) -> Iterator[FloatArray]:
    """Yield a Poisson process of rate(t) = rate · (1 + (peak − 1) · sin(2πt/period)): at time 0 the mean and rising,
    a quarter of the period later `peak` (1 to 2) times the mean.

    Thinning (Lewis and Shedler 1979): candidates at the peak's rate stay with probability rate(t)/peak rate."""
    for times_s in poisson(rate_per_s=rate_per_s * peak, rng=rng):
        share = (1.0 + (peak - 1.0) * np.sin(2.0 * np.pi * times_s / period_s)) / peak
        yield times_s[rng.random(CHUNK) < share]


def _from_gaps(draw: Callable[[], FloatArray]) -> Iterator[FloatArray]:
    start_s = 0.0
    while True:
        times_s = start_s + np.cumsum(draw())
        start_s = float(times_s[-1])
        yield times_s
