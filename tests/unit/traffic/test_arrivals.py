"""Arrivals follow the law they are named after; statistics within five standard errors of it."""

from itertools import islice

import numpy as np
import pytest

from workloads.traffic.arrivals import CHUNK, constant, daily, gamma, poisson

RATE = 4.0


def gaps_s(arrivals, n_chunks=3):
    return np.diff(np.concatenate(list(islice(arrivals, n_chunks))))


def test_constant_arrivals_stand_on_a_grid():
    times_s = np.concatenate(list(islice(constant(rate_per_s=RATE), 2)))
    assert (times_s == np.arange(2 * CHUNK) / RATE).all()


@pytest.mark.parametrize("cv", [0.5, 1.0, 2.0])
def test_gaps_of_gamma_arrivals_have_the_stated_mean_and_spread(cv):
    gap_s = gaps_s(gamma(rate_per_s=RATE, cv=cv, rng=np.random.default_rng(1)))
    n, kurtosis = len(gap_s), 3.0 + 6.0 * cv**2  # of a gamma law of shape 1/cv²
    assert gap_s.mean() == pytest.approx(1 / RATE, abs=5 * cv / RATE / n**0.5)
    assert gap_s.var() == pytest.approx((cv / RATE) ** 2, rel=5 * ((kurtosis - 1) / n) ** 0.5)


def test_poisson_counts_vary_as_their_mean():
    times_s = np.concatenate(list(islice(poisson(rate_per_s=RATE, rng=np.random.default_rng(2)), 3)))
    counts = np.bincount((times_s[times_s < 40_000] // 10).astype(int))
    n, mean = len(counts), 10 * RATE
    assert counts.mean() == pytest.approx(mean, abs=5 * (mean / n) ** 0.5)
    assert counts.var() == pytest.approx(mean, rel=5 * (2 / n) ** 0.5)


def test_a_day_has_its_peak_in_the_first_half_and_the_stated_mean():
    times_s = np.concatenate(list(islice(daily(rate_per_s=1.0, peak=1.5, rng=np.random.default_rng(3)), 10)))
    n_days = int(times_s[-1] // 86_400)
    quarters = np.bincount((times_s[times_s < n_days * 86_400] // 21_600).astype(int) % 4)
    # the integral of 1 + 0.5 sin(2πt/day) over a quarter of a day is 21,600 ± 0.5 · 86,400/2π
    swing = 0.5 * 86_400 / (2 * np.pi)
    expected = n_days * np.array([21_600 + swing, 21_600 + swing, 21_600 - swing, 21_600 - swing])
    assert n_days >= 3
    assert (abs(quarters - expected) < 5 * expected**0.5).all()


def test_times_never_fall_across_chunks():
    assert (gaps_s(daily(rate_per_s=RATE, peak=2.0, rng=np.random.default_rng(4))) >= 0).all()
