"""All-reduce and messages as bytes, latencies and times."""

import numpy as np
import pytest

from hw_profiles.loader import load_profile
from simulator.costs.cost import Machine
from simulator.demands import cost_of
from workloads.lowering.exchanges import all_gather, all_reduce, members, point_to_point, reduce_scatter

BUFFER = np.array([64e6])
ONE_GROUP = np.array([0])


def seconds(work, machine="h800_sxm", n_devices=64):
    """Alone, without a curve: gap, bytes of the slowest link, latencies."""
    profile = load_profile(machine)
    demand = cost_of(work, Machine(profile=profile, n_devices=n_devices, launch="graph", compute_sms=100)).demand
    moved_s = []
    for resource, bytes_C in demand.bytes_C.items():
        tier = profile.tiers[resource.partition(".")[0]]
        moved_s.append(float(bytes_C[0]) / (tier.bytes_per_s * tier.efficiency))
    return float(demand.latency_s_C[0]) + max(moved_s) + demand.tail_latency_s


def reduced(algorithm, n_ranks, per_node=8):
    return all_reduce("sum", "train", algorithm, group=members(n_ranks, per_node, ONE_GROUP), buffer_bytes_C=BUFFER)


def test_a_ring_sends_twice_all_but_one_part():
    assert reduced("ring", 8).traffic.sent_C["node"] == pytest.approx(2 * 7 / 8 * BUFFER)
    assert not reduced("ring", 8).traffic.sent_C["remote"].any()


def test_between_nodes_a_rail_carries_its_part_of_the_buffer():
    assert reduced("ring", 64).traffic.sent_C["remote"] == pytest.approx(2 * 7 / 8 * BUFFER / 8)


def test_an_all_reduce_is_a_reduce_scatter_and_an_all_gather():
    group = members(8, 8, ONE_GROUP)
    halves = [build("half", "train", group=group, shard_bytes_C=BUFFER / 8) for build in (reduce_scatter, all_gather)]
    assert sum(half.traffic.sent_C["node"] for half in halves) == pytest.approx(
        reduced("ring", 8).traffic.sent_C["node"]
    )


def test_a_tree_moves_the_rings_bytes_with_fewer_latencies_between_nodes():
    ring, tree = reduced("ring", 128), reduced("tree", 128)
    assert tree.traffic.sent_C["remote"] == pytest.approx(ring.traffic.sent_C["remote"])
    nic_s = load_profile("h800_sxm").tiers["nic"].latency_s
    assert seconds(ring) - seconds(tree) == pytest.approx((2 * 15 - 2 * 4) * nic_s)


def test_the_switch_sends_each_byte_once_and_returns_the_sums():
    assert reduced("in_switch", 8).traffic.sent_C["node"] == pytest.approx((1 + 1 / 8) * BUFFER)
    assert seconds(reduced("in_switch", 8)) < seconds(reduced("ring", 8))


def test_the_switch_reduces_in_one_domain_alone():
    with pytest.raises(ValueError, match="one NVLink domain; these 16 ranks stand on 2 nodes"):
        reduced("in_switch", 16)


@pytest.mark.parametrize("algorithm", ["ring", "tree", "in_switch"])
@pytest.mark.parametrize("n_ranks", [2, 4, 8])
def test_no_all_reduce_beats_sending_the_buffer_once(algorithm, n_ranks):
    """Every rank's buffer has to leave it, but for the part that it sums itself."""
    least_s = BUFFER[0] * (n_ranks - 1) / n_ranks / load_profile("h800_sxm").tiers["nvlink"].bytes_per_s
    assert seconds(reduced(algorithm, n_ranks)) >= least_s


@pytest.mark.parametrize(("crosses_nodes", "tier"), [(False, "nvlink"), (True, "nic")])
def test_a_message_takes_a_gap_its_bytes_and_one_latency(crosses_nodes, tier):
    nothing = np.zeros(1)
    work = point_to_point("next", "pp", group=members(16, 8, ONE_GROUP), sent_bytes_C=BUFFER,
                          received_bytes_C=nothing, crosses_nodes=crosses_nodes)  # fmt: skip
    profile = load_profile("h800_sxm")
    link = profile.tiers[tier]
    expected = profile.launch.graph_gap_s + BUFFER[0] / (link.bytes_per_s * link.efficiency) + link.latency_s
    assert seconds(work) == pytest.approx(expected)
