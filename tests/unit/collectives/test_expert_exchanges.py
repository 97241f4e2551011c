"""Other algorithms of the expert all-to-all: no byte is lost, no link beaten, none cheaper among more nodes."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.collectives.isolated import EXPERTS, HIDDEN, TOP_K, alone

from hw_profiles.faults import InputFaults

ACROSS_NODES = ("all_gather", "pairwise", "hierarchical")
FP8_COPY = HIDDEN * (1 + 4 / 128) + 16
MACHINES = ("h800_sxm", "h100_sxm")


def test_all_gather_brings_every_token_of_the_group_to_every_rank():
    traffic = alone("h800_sxm", "dispatch", ep=32, tokens=10, all_to_all="all_gather").graph.ops[0].work.traffic
    received = traffic.received_C["node"] + traffic.received_C["remote"]
    assert received == pytest.approx(31 * 10 * FP8_COPY)
    assert traffic.sent_C["remote"] == pytest.approx(3 * 10 * FP8_COPY)  # one shard to each other node, on the rail


def test_pairwise_sends_one_copy_per_chosen_expert():
    traffic = alone("h800_sxm", "dispatch", ep=32, tokens=10, all_to_all="pairwise").graph.ops[0].work.traffic
    assert traffic.sent_C["node"] == pytest.approx(10 * TOP_K * 7 / 32 * FP8_COPY)
    assert traffic.sent_C["remote"] == pytest.approx(10 * TOP_K * 24 / 32 * FP8_COPY)


@pytest.mark.parametrize("all_to_all", ACROSS_NODES)
@pytest.mark.parametrize("kind", ["dispatch", "combine"])
def test_as_much_is_received_as_sent_on_each_tier(all_to_all, kind):
    routing = {"popularity": "power_law:1.01", "draw": "sample"}
    one = alone("h800_sxm", kind, ep=32, tokens=7, all_to_all=all_to_all, routing=routing, seed=3)
    for op in one.graph.ops:
        for tier, sent_C in op.work.traffic.sent_C.items():
            received = np.sum(one.graph.n_alike_C * op.work.traffic.received_C[tier])
            assert np.sum(one.graph.n_alike_C * sent_C) == pytest.approx(received, rel=1e-12)  # sums of doubles


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(ACROSS_NODES), st.sampled_from(MACHINES), st.sampled_from(["dispatch", "combine"]),
    st.sampled_from([16, 32, 64, 128]), st.integers(1, 4096),
)  # fmt: skip
def test_no_algorithm_beats_what_has_to_leave_a_node(all_to_all, machine, kind, ep, tokens):
    """Every token has to reach, or return from, each other node that holds one of its experts, at least once."""
    one = alone(machine, kind, ep=ep, tokens=tokens, all_to_all=all_to_all)
    nodes = ep // 8
    missed = comb(EXPERTS - EXPERTS // nodes, TOP_K) / comb(EXPERTS, TOP_K)
    least = tokens * (nodes - 1) * (1 - missed) * (FP8_COPY if kind == "dispatch" else 2 * HIDDEN)
    assert one.seconds >= least / one.scenario.profile.tiers["nic"].bytes_per_s


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["all_gather", "pairwise", "one_sided"]),
    st.sampled_from([("gb200_nvl72", 64), ("h100_sxm", 8), ("h800_sxm", 4), ("gb200_nvl72", 2)]),
    st.integers(1, 8192),
)
def test_no_algorithm_beats_what_has_to_enter_a_rank_over_nvlink(all_to_all, where, tokens):
    """A rank needs each token of the others that has an expert on it, once."""
    machine, ep = where
    one = alone(machine, "dispatch", ep=ep, tokens=tokens, all_to_all=all_to_all)
    missed = comb(EXPERTS - EXPERTS // ep, TOP_K) / comb(EXPERTS, TOP_K)
    least = tokens * (ep - 1) * (1 - missed) * FP8_COPY
    assert one.seconds >= least / one.scenario.profile.tiers["nvlink"].bytes_per_s


@pytest.mark.parametrize("all_to_all", ACROSS_NODES)
@pytest.mark.parametrize("tokens", [1, 128, 4096])
def test_more_nodes_are_never_cheaper_at_as_many_tokens_per_rank(all_to_all, tokens):
    times = [
        alone("h800_sxm", "dispatch", ep=ep, tokens=tokens, all_to_all=all_to_all).seconds for ep in (16, 32, 64, 128)
    ]
    assert times == sorted(times)


def test_all_gather_wins_where_a_token_reaches_most_ranks_and_loses_where_it_reaches_few():
    by_ep = {
        ep: [
            alone("h800_sxm", "dispatch", ep=ep, tokens=4096, all_to_all=a).seconds for a in ("all_gather", "pairwise")
        ]
        for ep in (16, 128)
    }
    assert by_ep[16][0] < by_ep[16][1]  # NIC bytes: 1 shard against 4 copies
    assert by_ep[128][0] > by_ep[128][1]  # 15 shards against 7.5 copies


@pytest.mark.parametrize(
    ("machine", "ep", "all_to_all"),
    [
        ("h800_sxm", 16, "one_sided"),
        ("h800_sxm", 8, "hierarchical"),
        ("gb200_nvl72", 64, "hierarchical"),
        ("a30_pcie", 8, "one_sided"),
    ],
)
def test_an_algorithm_that_does_not_fit_is_refused_by_name(machine, ep, all_to_all):
    with pytest.raises(InputFaults, match=rf"run.all_to_all: got '{all_to_all}' with ep={ep}"):
        alone(machine, "dispatch", ep=ep, tokens=8, all_to_all=all_to_all)
