"""Spares by hand."""

import pytest

from simulator.planner.question import Failures
from simulator.planner.spares import at_least, spares

FAILURES = X
                    reload_bytes_per_s=1e9)  # fmt: skip


def test_one_dead_gpu_idles_its_whole_unit():
    one = spares("decode", FAILURES, unit_gpus=10, n_needed=1, weight_bytes=0.0)
    assert one.unit_mtbf_s == pytest.approx(10 * 3600.0)  # 100 h of one GPU, ten GPUs
    assert one.unit_up == pytest.approx(10.0 / 11.0)


def test_spares_are_the_fewest_that_reach_the_availability():
    found = spares("decode", FAILURES, unit_gpus=10, n_needed=4, weight_bytes=0.0)
    up = found.unit_up
    assert found.availability >= 0.99 > at_least(4, 4 + found.n_spare - 1, up)
    assert found.n_gpus == 10 * found.n_spare
    assert at_least(2, 3, 0.9) == pytest.approx(3 * 0.9**2 * 0.1 + 0.9**3)


def test_weights_take_their_time_to_load():
    empty, full = (spares("x", FAILURES, unit_gpus=1, n_needed=1, weight_bytes=b).back_s for b in (0.0, 80e9))
    assert full - empty == pytest.approx(80.0)


def test_no_availability_needs_no_spare():
    lax = Failures(availability=0.0)
    assert spares("x", lax, unit_gpus=8, n_needed=100, weight_bytes=0.0).n_spare == 0
