"""Loads where experts have several slots, against enumeration: sets of experts, and of each one's replicas."""

from itertools import combinations, product
from math import prod

import numpy as np
import pytest
from unit.workloads.test_loads import copies
from unit.workloads.toys import toy_step

from workloads.expert_placement import ExpertPlacement
from workloads.layout import Layout
from workloads.loads import routed_loads
from workloads.placements import layer_routings, moves_between
from workloads.routing_trace import routing_trace, write_routing_trace

COUNTS = (9, 7, 6, 5, 4, 3, 2, 1)
N, EP, PER_NODE = 8, 4, 2
CASES = [
    (rule, choice, redundant)
    for rule in ("contiguous", "round_robin", "eplb", "eplb_hierarchical")
    for choice in ("even", "nearest")
    for redundant in (4, 8)
]
NAMES = {
    "local", "sent_node", "received_node", "sent_remote", "received_remote", "nic_sent", "nic_received", "nvlink_sent",
    "nvlink_received",
}  # fmt: skip


@pytest.fixture
def counts(tmp_path):
    path = tmp_path / "counts.txt"
    path.write_text("\n".join(map(str, COUNTS)))
    return f"counts:{path}"


def layout(rule, choice, redundant, **more):
    return Layout(expert_placement=rule, replica_choice=choice, n_redundant_experts=redundant, **more)


def replicas(placed, source, expert):
    """Yield (rank, share) of the slots of an expert that serve a source, by the words of the docstring alone."""
    ranks = [int(r) for r, e in zip(placed.rank_Q, placed.expert_Q, strict=True) if e == expert]
    near = [rank for rank in ranks if rank // PER_NODE == source // PER_NODE]
    chosen = near if placed.replica_choice == "nearest" and near else ranks
    return [(rank, 1 / len(chosen)) for rank in chosen]


def enumerated(placed, tokens_R, sets):
    """Sum `copies` over sources, (set of experts, its probability, extra rows on expert 0) and replicas of each."""
    total = {name: np.zeros(EP) for name in (*NAMES, "rows")}
    for source, tokens in enumerate(tokens_R):
        for chosen, probability, again in sets:
            for served in product(*(replicas(placed, source, expert) for expert in chosen)):
                share = prod(part for _, part in served)
                rank_of = {expert: rank for expert, (rank, _) in zip(chosen, served, strict=True)}
                one = copies(source, [*chosen, *([0] * again)], rank_of, PER_NODE, EP)
                for name, amounts in one.items():
                    total[name] += tokens * probability * share * amounts
    return total


def distinct_sets(k):
    sets = list(combinations(range(N), k))
    weights = [prod(COUNTS[n] for n in chosen) for chosen in sets]
    return [(chosen, weight / sum(weights)) for chosen, weight in zip(sets, weights, strict=True)]


def same(loads, oracle):
    assert loads.rows_LR[0] == pytest.approx(oracle["rows"])
    for name in NAMES:
        assert getattr(loads, f"{name}_LR")[0] == pytest.approx(oracle[name], abs=1e-12), name


@pytest.mark.parametrize(("rule", "choice", "redundant"), CASES)
def test_expectations_are_the_sum_over_tokens_sets_and_replicas(counts, rule, choice, redundant):
    step = toy_step(layout=layout(rule, choice, redundant), routing={"popularity": counts})
    tokens_R = np.arange(1.0, EP + 1)
    placed = next(layer_routings(step)).placement
    sets = [(chosen, p, 0) for chosen, p in distinct_sets(2)]  # the tiny model: two FFN experts per token
    same(routed_loads(step, tokens_R), enumerated(placed, tokens_R, sets))


def test_a_replica_of_expert_0_is_idle_where_every_remapped_token_takes_the_other():
    """Four tokens of two FFN experts of eight and one slot remapped; every expert on two ranks: 0-3, 4-7, 0-3, 4-7."""
    step = toy_step(layout=layout("contiguous", "even", 8), routing={"zero_experts": "remap0"})
    active_R = routed_loads(step, np.ones(EP)).active_LR[0]
    other = 1 - (1 - 2 / 8 / 2) ** 4
    assert active_R == pytest.approx([1 - 0.5**4 + 3 * other, 4 * other] * 2)


@pytest.mark.parametrize("choice", ["even", "nearest"])
def test_remapped_zero_experts_go_to_one_replica_of_expert_0(counts, choice):
    """Two FFN experts and one zero expert, which makes a row of expert 0: of one that the token takes anyway, the same
    replica."""
    step = toy_step(layout=layout("eplb", choice, 4), routing={"popularity": counts, "zero_experts": "remap0"})
    tokens_R = np.arange(1.0, EP + 1)
    placed = next(layer_routings(step)).placement
    sets = [
        ((chosen, p, 1) if 0 in chosen else ((0, *chosen), p, 0))
        for chosen, p in distinct_sets(2)
    ]  # fmt: skip
    same(routed_loads(step, tokens_R), enumerated(placed, tokens_R, sets))


@pytest.mark.parametrize("choice", ["even", "nearest"])
def test_a_replayed_trace_is_the_sum_over_its_tokens_and_replicas(tmp_path, choice):
    ids = np.array([[0, 1, 9], [0, 2, 3], [0, 10, 11], [7, 8, 9]], dtype=np.int16)
    path = tmp_path / "t.npz"
    write_routing_trace(routing_trace([[ids], [ids]], n_routed_experts=N, n_zero_experts=4), path)
    step = toy_step(layout=layout("eplb", choice, 4), routing={"popularity": f"trace:{path}"})
    tokens_R = np.arange(1.0, EP + 1)
    placed = next(layer_routings(step)).placement
    sets = [(tuple(e for e in row if e < N), 1 / 4, 0) for row in ids.tolist()]
    same(routed_loads(step, tokens_R), enumerated(placed, tokens_R, sets))


@pytest.mark.parametrize("choice", ["even", "nearest"])
@pytest.mark.parametrize("policy", ["skip", "remap0"])
def test_samples_agree_with_expectations(counts, choice, policy):
    """2,000 tokens in two layers; a token gives a rank at most 3 rows, a variance of at most 9/4: 5 sigma."""
    routing = {"popularity": counts, "zero_experts": policy}
    expected = toy_step(layout=layout("eplb", choice, 4), routing=routing)
    drawn = toy_step(layout=layout("eplb", choice, 4), routing={**routing, "draw": "sample"}, seed=7)
    mean, sample = (routed_loads(step, np.full(EP, 500.0)) for step in (expected, drawn))
    for name in ("rows_LR", "nic_sent_LR", "nvlink_received_LR", "sent_remote_LR", "reached_LR"):
        off_R = np.abs(getattr(sample, name).mean(axis=0) - getattr(mean, name)[0])
        assert off_R.max() < 5 * np.sqrt(2000 * 9 / 4 / 2), name


@pytest.mark.parametrize("draw", ["mean", "sample"])
@pytest.mark.parametrize(("rule", "choice", "redundant"), CASES)
def test_rows_are_kept_and_what_is_sent_is_received(counts, rule, choice, redundant, draw):
    step = toy_step(
        n_gpus=8, layout=layout(rule, choice, redundant), routing={"popularity": counts, "draw": draw}, seed=2
    )
    loads = routed_loads(step, np.arange(1.0, 9.0))
    assert loads.rows_LRX.shape[2] == (N + redundant) / EP
    assert loads.rows_LR.sum(axis=1) == pytest.approx(2 * 36)  # two FFN experts for each of the 1 + 2 + ... + 8 tokens
    for kind in ("sent_node received_node", "sent_remote received_remote", "nic_sent nic_received",
                 "nvlink_sent nvlink_received"):  # fmt: skip
        sent, received = (getattr(loads, f"{name}_LR").sum(axis=1) for name in kind.split())
        assert sent == pytest.approx(received)


@pytest.mark.parametrize("rule", ["eplb", "eplb_hierarchical"])
def test_experts_within_one_node_never_touch_a_nic(counts, rule):
    step = toy_step(per_node=4, layout=layout(rule, "nearest", 4), routing={"popularity": counts})
    loads = routed_loads(step, np.full(4, 6.0))
    for name in ("sent_remote", "received_remote", "nic_sent", "nic_received"):
        assert not getattr(loads, f"{name}_LR").any(), name


def test_an_expert_everywhere_is_near_everyone(counts):
    """24 redundant experts on four ranks: all 8 on each, so that nothing has to leave a node."""
    step = toy_step(layout=layout("eplb", "nearest", 24), routing={"popularity": counts})
    loads = routed_loads(step, np.full(EP, 6.0))
    assert not loads.nic_sent_LR.any()
    assert loads.rows_LR[0] == pytest.approx([12] * 4)


def test_a_replica_is_active_with_the_probability_that_any_token_comes_to_it():
    """One token on each of four ranks takes 2 of 8 experts; of two replicas each is meant half of the times."""
    step = toy_step(layout=layout("contiguous", "even", 8))
    assert routed_loads(step, np.ones(4)).active_LR[0] == pytest.approx([4 * (1 - (1 - 1 / 4 / 2) ** 4)] * 4)


def test_counts_of_a_long_window_place_as_the_true_loads_do(counts):
    true = toy_step(layout=layout("eplb", "even", 4), routing={"popularity": counts})
    counted = toy_step(
        layout=layout("eplb", "even", 4, placement_loads="window:100000"), routing={"popularity": counts}
    )
    (expected,), found = layer_routings(true), list(layer_routings(counted))
    assert len(found) == 2  # each layer counts for itself
    for routing in found:
        assert routing.placement.expert_Q.tolist() == expected.placement.expert_Q.tolist()


def test_what_moves_comes_from_the_own_node_where_it_can():
    """Two nodes of two ranks with one slot each: 0 1 | 2 3 becomes 1 1 | 0 3. Rank 0 takes expert 1 from its neighbour,
    rank 2 fetches expert 0 from rank 0 over the NIC."""
    old, new = (
        ExpertPlacement(expert_Q=np.array(experts), n_experts=4, n_ranks=4, ranks_per_node=2)
        for experts in ([0, 1, 2, 3], [1, 1, 0, 3])
    )
    assert moves_between(old, new).tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert not moves_between(new, new).any()
