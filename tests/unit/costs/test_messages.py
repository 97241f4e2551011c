"""Low-latency messages that a proxy posts one by one, on the toy machine of 1e9 B/s and 1 us of latency."""

from dataclasses import replace

import pytest
from toy import machine
from unit.workloads.toys import toy_step

from simulator.costs.communication import communication_cost
from simulator.costs.cost import Machine
from workloads.lower import lower


def nic_bytes(message_s):
    """Of the dispatch of 2 nodes of 2 ranks: 3 tokens per rank, 2 of 8 balanced experts each, half of them remote."""
    profile = machine(n_devices_per_node=2, max_devices=4)
    profile = replace(profile, all_to_all=replace(profile.all_to_all, message_s=message_s))
    work = next(op.work for op in lower(toy_step(), "sequential").ops if op.name == "dispatch.flight")
    cost = communication_cost(work, Machine(profile=profile, n_devices=4, launch="graph", compute_sms=10))
    return float(cost.demand.bytes_C["nic.egress"][0]), float(cost.sent_bytes["nic"][0])


def test_messages_take_the_way_to_the_nic_longer_than_their_bytes():
    """3 copies of 64 + 2 + 16 B leave the node, and a flag to each of the other node's 4 experts: 7 us at 1 us each."""
    assert nic_bytes(1e-6) == pytest.approx((7_000, 3 * 82))


@pytest.mark.parametrize("message_s", [None, 1e-9])
def test_messages_that_are_posted_faster_than_their_bytes_fly_cost_nothing(message_s):
    assert nic_bytes(message_s) == pytest.approx((3 * 82, 3 * 82))
