"""Placements by hand, and what every placement has to keep."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.expert_placement import (
    ExpertPlacement,
    contiguous,
    eplb,
    eplb_hierarchical,
    hottest_load,
    round_robin,
)

# EPLB's own worked example (github deepseek-ai/EPLB, README): 12 experts in 4 groups, 16 slots on 8 GPUs of 2 nodes.
README_LOADS = np.array([90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86], dtype=float)
README_HOTTEST_OVER_MEAN = 1.208


def by_rank(expert_Q, n_ranks):
    return [sorted(experts) for experts in expert_Q.reshape(n_ranks, -1).tolist()]


def placement(expert_Q, n_ranks, *, per_node=2, choice="even"):
    return ExpertPlacement(
        expert_Q=np.asarray(expert_Q), n_experts=int(max(expert_Q)) + 1, n_ranks=n_ranks, ranks_per_node=per_node,
        replica_choice=choice,
    )  # fmt: skip


def test_spare_slots_in_order_hold_the_first_experts_again():
    assert by_rank(contiguous(4, 6), 2) == [[0, 1, 2], [0, 1, 3]]
    assert by_rank(round_robin(4, 6, 2), 2) == [[0, 1, 2], [0, 1, 3]]
    assert by_rank(round_robin(5, 8, 4), 4) == [[0, 4], [0, 1], [1, 2], [2, 3]]


def test_a_tiny_case_by_hand():
    """Loads 6, 3, 2, 1 on two ranks with two spare slots. The first spare slot halves expert 0 (3 + 3); now 0 and 1
    have 3 per replica each, but 0 stands on every rank, so 1 is halved (1.5 + 1.5). Heaviest first: 0 | 0, then 2 to
    rank 0, 1 and 1 to rank 1 and, as two of one expert do not meet, rank 0: 6.5 | 4.5, and the last, 1, to rank 1."""
    loads_N = np.array([6.0, 3.0, 2.0, 1.0])
    placed_Q = eplb(loads_N, 6, 2)
    assert by_rank(placed_Q, 2) == [[0, 1, 2], [0, 1, 3]]
    assert hottest_load(placed_Q, loads_N, 2) == 3.0 + 1.5 + 2.0
    assert hottest_load(eplb(loads_N, 4, 2), loads_N, 2) == 6.0 + 1.0  # without spare slots: 6, 1 | 3, 2


def test_hierarchical_reaches_the_balance_of_the_published_example_in_whole_groups():
    placed_Q = eplb_hierarchical(README_LOADS, 16, 8, n_nodes=2, n_groups=4)
    node_of_group = [{expert // 3 for expert in half} for half in placed_Q.reshape(2, -1).tolist()]
    assert node_of_group[0] | node_of_group[1] == {0, 1, 2, 3}
    assert not node_of_group[0] & node_of_group[1]
    reached = hottest_load(placed_Q, README_LOADS, 8) / (README_LOADS.sum() / 8)
    assert reached == pytest.approx(README_HOTTEST_OVER_MEAN, abs=0.0005)  # printed to three digits


def test_a_hierarchy_of_one_node_is_no_hierarchy():
    assert eplb_hierarchical(README_LOADS, 16, 8, n_nodes=1, n_groups=4).tolist() == eplb(README_LOADS, 16, 8).tolist()


LOADS = st.lists(st.floats(0.0, 1e4, allow_subnormal=False), min_size=8, max_size=8).map(np.array)


@given(loads_N=LOADS, n_ranks=st.sampled_from([1, 2, 4, 8]), spare=st.integers(0, 3))
def test_redundant_experts_never_make_the_hottest_rank_hotter(loads_N, n_ranks, spare):
    n_slots = min(8 + spare * n_ranks, 8 * n_ranks)
    without = hottest_load(eplb(loads_N, 8, n_ranks), loads_N, n_ranks)
    assert hottest_load(eplb(loads_N, n_slots, n_ranks), loads_N, n_ranks) <= without * (1 + 1e-12)  # rounding of sums


@given(loads_N=LOADS, n_ranks=st.sampled_from([2, 4, 8]), spare=st.integers(0, 2), hierarchical=st.booleans())
def test_every_expert_has_a_slot_and_every_rank_equally_many(loads_N, n_ranks, spare, hierarchical):
    n_slots = min(8 + spare * n_ranks, 8 * n_ranks)
    placed_Q = (
        eplb_hierarchical(loads_N, n_slots, n_ranks, n_nodes=2, n_groups=4)
        if hierarchical
        else eplb(loads_N, n_slots, n_ranks)
    )
    assert len(placed_Q) == n_slots
    assert set(placed_Q.tolist()) == set(range(8))


@given(order=st.permutations(range(8)), spare=st.integers(0, 2))
def test_the_names_of_experts_do_not_matter(order, spare):
    loads_N = np.array([1.0, 2.5, 4.75, 9.0, 17.5, 33.25, 66.0, 131.0])
    relabelled_N = loads_N[list(order)]
    n_slots = 8 + 4 * spare

    def load_on_ranks(loads_N):
        placed_Q = eplb(loads_N, n_slots, 4)
        return (loads_N / np.bincount(placed_Q))[placed_Q].reshape(4, -1).sum(axis=1)

    assert load_on_ranks(relabelled_N) == pytest.approx(load_on_ranks(loads_N))


def test_even_replicas_share_and_near_ones_come_first():
    """Four ranks in two nodes; expert 0 on ranks 0 and 2, expert 1 on ranks 0, 1 and 3, expert 2 on 1, expert 3 on 2
    and 3: from either node an expert goes to its replicas there, or, where there are none, to all."""
    experts = [0, 1, 1, 2, 0, 3, 1, 3]
    assert placement(experts, 4).share_FQ.tolist() == [[1 / 2, 1 / 3, 1 / 3, 1, 1 / 2, 1 / 2, 1 / 3, 1 / 2]]
    near = placement(experts, 4, choice="nearest")
    assert near.share_FQ.tolist() == [
        [1, 1 / 2, 1 / 2, 1, 0, 1 / 2, 0, 1 / 2],
        [0, 0, 0, 1, 1, 1 / 2, 1, 1 / 2],
    ]
    assert near.share_on_ranks().sum(axis=2) == pytest.approx(np.ones((2, 4)))
    assert near.share_on_nodes()[0].tolist() == [[1, 0], [1, 0], [1, 0], [0, 1]]
