"""Lengths follow the law they are drawn from."""

import numpy as np
import pytest

from workloads.traffic.lengths import Empirical, Fixed, Lognormal

N = 200_000
LAWS = [Fixed(7), Lognormal(mean_tokens=1000, cv=1.0), Empirical(np.array([3, 5, 90]))]


def test_lognormal_lengths_have_the_stated_mean_and_spread():
    drawn = Lognormal(mean_tokens=1000, cv=0.5).draw(N, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(1000, abs=5 * 500 / N**0.5)
    assert drawn.std() == pytest.approx(500, rel=0.02)  # heavy tail: its standard error is about 0.4 %


def test_lengths_are_at_least_one_and_at_most_the_limit():
    drawn = Lognormal(mean_tokens=2, cv=3.0, most_tokens=10).draw(N, np.random.default_rng(0))
    assert (drawn.min(), drawn.max()) == (1, 10)


def test_without_spread_every_length_is_the_mean():
    assert set(Lognormal(mean_tokens=512, cv=0.0).draw(100, np.random.default_rng(0))) == {512}


def test_empirical_lengths_are_the_recorded_ones_as_often_as_recorded():
    drawn = Empirical(np.array([3, 3, 3, 90])).draw(N, np.random.default_rng(0))
    assert set(drawn) == {3, 90}
    assert (drawn == 3).mean() == pytest.approx(0.75, abs=5 * (0.75 * 0.25 / N) ** 0.5)


@pytest.mark.parametrize("law", LAWS)
def test_lengths_do_not_depend_on_how_many_are_drawn_at_once(law):
    together, apart = np.random.default_rng(5), np.random.default_rng(5)
    assert law.draw(10, together).tolist() == [*law.draw(4, apart), *law.draw(6, apart)]
