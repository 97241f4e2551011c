"""Spares by hand."""

import pytest

from simulator.availability import at_least
from simulator.failures import Failures as ReplayedFailures
from simulator.planner.question import Failures
from simulator.planner.spares import together, with_spares, without_spares

FAILURES = Failures(mtbf_hours={"device": 100.0}, detection_s=0.0, repair_s=3600.0, restart_s=0.0,
                    load_bytes_per_s=1e9)  # fmt: skip


def bare(n_needed, unit_gpus=10, weight_bytes=0.0, pool="decode", failures=FAILURES):
    return without_spares(pool, failures, unit_gpus=unit_gpus, n_needed=n_needed, gpus_per_node=8,
                          weight_bytes=weight_bytes)  # fmt: skip


def test_one_dead_gpu_idles_its_whole_unit():
    one = bare(1)
    assert one.unit_mtbf_s == pytest.approx(10 * 3600.0)  # 100 h of one GPU, ten GPUs
    assert one.unit_up == pytest.approx(10.0 / 11.0)
    assert one.availability == one.without == one.unit_up


def test_nodes_fail_beside_their_gpus():
    failures = Failures(mtbf_hours={"device": 1600.0, "node": 200.0})  # 16 / 1600 + 2 / 200 per hour
    assert bare(1, unit_gpus=16, failures=failures).unit_mtbf_s == pytest.approx(3600.0 / 0.02)


def test_spares_are_the_fewest_that_reach_the_availability():
    (found,) = with_spares([bare(4)], 0.99)
    before = at_least(4, 4 + found.n_spare - 1, up=found.unit_up)
    assert found.availability >= 0.99 > before
    assert found.n_gpus == 10 * found.n_spare


def test_pools_reach_the_availability_together_and_not_each_alone():
    """One unit up 0.9953 in each pool: either alone is above 0.995, both at once (0.9906) are not."""
    rare = Failures(mtbf_hours={"device": 211.8}, detection_s=0.0, repair_s=3600.0, restart_s=0.0)
    pools = [bare(1, unit_gpus=1, pool=name, failures=rare) for name in ("prefill", "decode")]
    assert min(pool.availability for pool in pools) > 0.995 > together(pools)
    found = with_spares(pools, 0.995)
    assert sorted(pool.n_spare for pool in found) == [0, 1]
    assert together(found) >= 0.995


def test_weights_take_their_time_to_load():
    empty, full = (bare(1, weight_bytes=n).back_s for n in (0.0, 80e9))
    assert full - empty == pytest.approx(80.0)


def test_no_availability_needs_no_spare():
    assert with_spares([bare(100)], 0.0)[0].n_spare == 0


def test_what_never_fails_needs_no_spare():
    assert with_spares([bare(3, failures=Failures(mtbf_hours={}))], 0.999999)[0].n_spare == 0


def test_defaults_are_those_of_replays():
    own, replayed = Failures(), ReplayedFailures()
    shared = set(own.__dataclass_fields__) & set(replayed.__dataclass_fields__) - {"mtbf_hours"}
    assert len(shared) == 6
    assert all(getattr(own, name) == getattr(replayed, name) for name in shared)
