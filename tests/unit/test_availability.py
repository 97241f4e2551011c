"""Availability of a replica and spares, against sums by hand."""

import pytest

from simulator.availability import failures_per_hour, replica_availability, spares_needed
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
