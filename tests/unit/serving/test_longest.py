"""The longest of growing sequences, against a look at each."""

import numpy as np

from simulator.serving.growth import Growth
from simulator.serving.longest import Longest


def test_the_longest_is_found_as_by_looking_at_each():
    rng, longest, growing = np.random.default_rng(3), Longest(), {}
    for step in range(300):
        if rng.random() < 0.3:
            growth = Growth(cached=int(rng.integers(1, 500)), from_step=step, tokens=1000, n_steps=1000)
            growing[step] = growth
            longest.join(step, growth)
        if growing and rng.random() < 0.25:
            del growing[int(rng.choice(list(growing)))]
        by_looking = max((each.cached + step - each.from_step for each in growing.values()), default=0)
        assert longest.cached(growing, step) == by_looking


def test_a_sequence_that_was_preempted_and_is_back_counts_once_with_what_it_has():
    longest, first = Longest(), Growth(cached=900, from_step=0, tokens=10, n_steps=10)
    longest.join(7, first)
    back = Growth(cached=5, from_step=3, tokens=10, n_steps=10)
    longest.join(7, back)
    assert longest.cached({7: back}, 4) == 6
