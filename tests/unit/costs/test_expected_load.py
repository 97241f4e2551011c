"""How many experts and tiles of rows a grouped product has of rows that are expectations."""

import numpy as np
import pytest

from simulator.costs.served import expected_load


def test_drawn_rows_are_all_there():
    load = expected_load(np.array([[1.0, 70.0, 0.0]]), np.array([2.0]), 64.0)
    assert (load.active[0], load.rows[0], load.padded_rows[0]) == (2.0, 71.0, 64.0 + 128.0)


def test_few_rows_over_many_experts_fill_the_tiles_of_those_that_are_hit():
    load = expected_load(np.full((1, 100), 0.5), np.array([40.0]), 64.0)
    assert load.padded_rows[0] == pytest.approx(40 * 64)


def test_a_hot_expert_has_its_tiles_beside_one_that_is_rarely_hit():
    load = expected_load(np.array([[700.0, 0.1]]), np.array([1.1]), 64.0)
    assert load.padded_rows[0] == pytest.approx(704 + 0.1 * 64)


def test_work_is_never_less_than_its_rows():
    load = expected_load(np.array([[64.0 * 3]]), np.array([0.5]), 64.0)
    assert load.padded_rows[0] >= load.rows[0]
