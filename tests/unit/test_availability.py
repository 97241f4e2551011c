"""Availability of a replica and spares, against sums by hand."""

import pytest

from simulator.availability import at_least, failures_per_hour, replica_availability, spares_needed
from simulator.failures import Failures


def test_a_replica_is_up_between_its_failures():
    """16 GPUs at 1 per 1,600 h and 2 nodes at 1 per 200 h: 0.01 + 0.01 per hour; down for 0.5 h each: 1 / 1.01."""
    failures = Failures(
        mtbf_hours={"device": 1600.0, "node": 200.0, "nic": 10.0}, detection_s=10.0, repair_s=1700.0, restart_s=60.0
    )
    assert failures_per_hour(failures, n_gpus=16, gpus_per_node=8) == pytest.approx(0.02)
    assert replica_availability(failures, n_gpus=16, gpus_per_node=8, load_s=30.0) == pytest.approx(1 / 1.01)


def test_spares_by_hand():
    """Two needed, each up 0.9: without spares 0.81; with one 0.972; with two 0.9963."""
    assert spares_needed(2, up=0.9, target=0.8) == 0
    assert spares_needed(2, up=0.9, target=0.97) == 1
    assert spares_needed(2, up=0.9, target=0.99) == 2
    with pytest.raises(ValueError, match="do not reach"):
        spares_needed(2, up=0.0, target=0.99)


def test_many_replicas_are_counted_without_overflow():
    """3,000 of which half are up: the binomial's median; its coefficients are beyond any float."""
    assert at_least(1500, 3000, up=0.5) == pytest.approx(0.5, abs=0.01)
    assert at_least(1, 3, up=0.5) == pytest.approx(7 / 8)
    assert at_least(2, 3, up=1.0) == 1.0
    assert at_least(2, 3, up=0.0) == 0.0
