"""Expert loads and all-to-all copies against oracles that go token by token."""

from dataclasses import replace
from itertools import combinations
from math import prod

import numpy as np
import pytest
from unit.workloads.toys import toy_step

from workloads.choices import whole_tokens
from workloads.layout import Layout
from workloads.loads import routed_loads
from workloads.placements import drifted, layer_routings
from workloads.routing import ffn_expert_distribution, sample_choices
from workloads.zoo import tiny

COUNTS = (9, 7, 6, 5, 4, 3, 2, 1)
PLACEMENTS = ("contiguous", "round_robin")


@pytest.fixture
def counts_file(tmp_path):
    path = tmp_path / "counts.txt"
    path.write_text("\n".join(map(str, COUNTS)))
    return f"counts:{path}"


def expert_ranks(step):
    return next(layer_routings(step)).placement.first_rank_N


def sets_of(counts, k):
    """Yield (set of k experts, its probability): the law of docs/design.md, enumerated."""
    sets = list(combinations(range(len(counts)), k))
    weights = [prod(counts[n] for n in chosen) for chosen in sets]
    for chosen, weight in zip(sets, weights, strict=True):
        yield chosen, weight / sum(weights)


def copies(source, choices, rank_N, per_node, n_ranks):
    """What one token with these (expert, weight) choices puts on the links, rank by rank."""
    names = ("rows", "local", "sent_node", "received_node", "sent_remote", "received_remote", "nic_sent",
             "nic_received", "nvlink_sent", "nvlink_received")  # fmt: skip
    at = {name: np.zeros(n_ranks) for name in names}
    for expert in choices:
        to = rank_N[expert]
        at["rows"][to] += 1
        if to == source:
            at["local"][source] += 1
            continue
        near = "node" if to // per_node == source // per_node else "remote"
        at[f"sent_{near}"][source] += 1
        at[f"received_{near}"][to] += 1
    for node in {rank_N[expert] // per_node for expert in choices}:
        forwarder = node * per_node + source % per_node
        if node != source // per_node:
            at["nic_sent"][source] += 1
            at["nic_received"][forwarder] += 1
        for to in {rank_N[expert] for expert in choices if rank_N[expert] // per_node == node} - {forwarder}:
            at["nvlink_sent"][forwarder] += 1
            at["nvlink_received"][to] += 1
    return at


def compare(loads, oracle, layer=0):
    assert loads.rows_LR[layer] == pytest.approx(oracle["rows"])
    for name in set(oracle) - {"rows"}:
        assert getattr(loads, f"{name}_LR")[layer] == pytest.approx(oracle[name], abs=1e-12), name


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("ep", [4, 8])
def test_expected_loads_are_the_sum_over_tokens_and_sets(counts_file, placement, ep):
    step = toy_step(n_gpus=ep, ep=ep, per_node=2, layout=Layout(expert_placement=placement),
                    routing={"popularity": counts_file})  # fmt: skip
    tokens_R = np.arange(1.0, ep + 1)
    rank_N = [n * ep // 8 if placement == "contiguous" else n % ep for n in range(8)]
    oracle = None
    for source, tokens in enumerate(tokens_R):
        for chosen, probability in sets_of(COUNTS, 2):  # the tiny model takes 2 of its 8 FFN experts on average
            one = copies(source, chosen, rank_N, 2, ep)
            oracle = oracle or {name: np.zeros(ep) for name in one}
            for name, amounts in one.items():
                oracle[name] += tokens * probability * amounts
    assert expert_ranks(step).tolist() == rank_N
    compare(routed_loads(step, tokens_R), oracle)


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("policy", ["skip", "none", "remap0"])
def test_sampled_loads_are_the_sum_over_the_tokens_that_were_drawn(counts_file, placement, policy):
    """Draw the same choices and count them one token after the other."""
    routing = {"popularity": counts_file, "draw": "sample", "zero_experts": policy}
    step = toy_step(layout=Layout(expert_placement=placement), routing=routing, seed=5)
    tokens_R = np.array([3.0, 0.0, 2.0, 4.0])
    pmf_K = ffn_expert_distribution(tiny().moe, step.routing.ffn_experts, policy)
    rng = np.random.default_rng([5, 2, 0])
    source_T = [0, 0, 0, 2, 2, 3, 3, 3, 3]
    loads = routed_loads(step, tokens_R)
    assert loads.rows_LRX.shape == (2, 4, 2)  # one sample per layer, two experts on a rank
    for layer in range(2):
        token, expert = sample_choices(np.array(COUNTS) / sum(COUNTS), pmf_K, 9, rng)
        choices = [expert[token == t].tolist() for t in range(9)]
        if policy == "remap0":
            choices = [[*chosen, *([0] * (3 - len(chosen)))] for chosen in choices]
        rank_N = expert_ranks(step).tolist()
        parts = [copies(s, chosen, rank_N, 2, 4) for s, chosen in zip(source_T, choices, strict=True)]
        compare(loads, {name: sum(part[name] for part in parts) for name in parts[0]}, layer)
        used = {n for chosen in choices for n in chosen}
        assert loads.active_LR[layer].tolist() == [sum(rank_N[n] == r for n in used) for r in range(4)]


def test_samples_agree_with_expectations(counts_file):
    """2,000 tokens in two layers. A token gives a rank 0, 1 or 2 rows, so its variance is at most 1: 5 sigma."""
    drawn = toy_step(routing={"popularity": counts_file, "draw": "sample"}, seed=11)
    expected = toy_step(routing={"popularity": counts_file})
    tokens_R = np.full(4, 500.0)
    mean = routed_loads(expected, tokens_R)
    sample = routed_loads(drawn, tokens_R)
    for name in ("rows_LR", "nic_sent_LR", "nvlink_received_LR", "sent_remote_LR"):
        off_R = np.abs(getattr(sample, name).mean(axis=0) - getattr(mean, name)[0])
        assert off_R.max() < 5 * np.sqrt(2000 / 2), name


@pytest.mark.parametrize("routing", [
    {}, {"popularity": "power_law:1.2"}, {"draw": "sample"}, {"draw": "sample", "zero_experts": "remap0"},
    {"zero_experts": "remap0"}, {"zero_experts": "none"}, {"zero_experts": "k8"},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_what_is_sent_is_received(routing, placement):
    step = toy_step(n_gpus=8, ep=4, layout=Layout(expert_placement=placement), routing=routing)
    loads = routed_loads(step, np.arange(8.0))
    for kind in ("node", "remote"):
        sent, received = getattr(loads, f"sent_{kind}_LR"), getattr(loads, f"received_{kind}_LR")
        assert sent.sum(axis=1) == pytest.approx(received.sum(axis=1))
    for link in ("nic", "nvlink"):
        sent, received = getattr(loads, f"{link}_sent_LR"), getattr(loads, f"{link}_received_LR")
        assert sent.sum(axis=1) == pytest.approx(received.sum(axis=1))
    assert loads.reached_LR.sum(axis=1) == pytest.approx(loads.arrived_LR.sum(axis=1))
    moved = loads.local_LR + loads.received_node_LR + loads.received_remote_LR
    assert loads.rows_LR == pytest.approx(moved)


@pytest.mark.parametrize(("policy", "rows_per_token"), [("skip", 2), ("remap0", 3), ("none", 3), ("k8", 2)])
def test_the_policy_decides_how_many_rows_a_token_makes(policy, rows_per_token):
    """The tiny model: top-3, of which 2 are FFN experts on average."""
    loads = routed_loads(toy_step(routing={"zero_experts": policy}), np.full(4, 6.0))
    assert loads.rows_LR.sum() == pytest.approx(24 * rows_per_token)


def test_remap0_is_a_hot_spot_on_expert_0():
    """24 tokens, one zero slot each: 24 more rows on expert 0 than its fair share of 24 x 2 / 8 = 6."""
    rows_X = routed_loads(toy_step(routing={"zero_experts": "remap0"}), np.full(4, 6.0)).rows_LRX[0].ravel()
    assert rows_X == pytest.approx([30] + [6] * 7)


def test_balanced_loads_are_equal_and_one_layer_stands_for_all():
    loads = routed_loads(toy_step(), np.full(4, 6.0))
    assert loads.rows_LRX.shape == (1, 4, 2)
    assert np.ptp(loads.rows_LRX) == pytest.approx(0.0, abs=1e-12)


def test_an_expert_is_active_with_the_probability_that_any_token_takes_it():
    """4 tokens in the group, 2 of 8 experts each: 1 - (1 - 1/4)^4 per expert, two experts on a rank."""
    loads = routed_loads(toy_step(), np.full(4, 1.0))
    assert loads.active_LR[0] == pytest.approx([2 * (1 - 0.75**4)] * 4)


def test_ep_groups_do_not_mix():
    loads = routed_loads(toy_step(ep=2), np.array([5.0, 5.0, 0.0, 0.0]))
    assert loads.rows_LR[0] == pytest.approx([10, 10, 0, 0])
    assert loads.sent_remote_LR.sum() == 0.0


def test_the_same_seed_gives_the_same_draw_and_halves_of_a_batch_differ():
    step = toy_step(routing={"draw": "sample"}, seed=3)
    tokens_R = np.full(4, 50.0)
    first, again, half = (routed_loads(step, tokens_R, part).rows_LRX for part in (0, 0, 1))
    assert (first == again).all()
    assert (first != half).any()


def test_draws_of_fewer_tokens_than_ranks_are_of_whole_tokens_and_of_all_of_them():
    """Three tokens on four ranks, 0.75 each: rounded, each rank would have one; 0.25 each: none would."""
    for tokens, total in ((0.75, 3), (0.25, 1), (2.5, 10)):
        drawn_DR = np.array([whole_tokens(np.full(4, tokens), np.random.default_rng(i)) for i in range(400)])
        assert (drawn_DR.sum(axis=1) == total).all()
        assert set(np.unique(drawn_DR)) == {int(tokens), int(tokens) + 1}
        assert np.abs(drawn_DR.mean(axis=0) - tokens).max() < 5 * 0.5 / np.sqrt(400)


def test_whole_tokens_take_no_draw():
    rng = np.random.default_rng(1)
    assert whole_tokens(np.array([3.0, 0.0, 2.0]), rng).tolist() == [3, 0, 2]
    assert rng.random() == np.random.default_rng(1).random()


def test_each_draw_of_a_seed_is_another_one_of_the_same_popularity():
    step = toy_step(routing={"popularity": "power_law:1.2", "draw": "sample"}, seed=3)
    tokens_R = np.full(4, 40.0)
    first, again, other = (routed_loads(replace(step, draw_number=i), tokens_R).rows_LRX for i in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_a_token_arrives_once_on_a_rank_where_several_of_its_experts_are():
    """Two of eight experts each, two on a rank: C(8, 2) - C(6, 2) = 13 of 28 pairs touch it, by 14 rows."""
    loads = routed_loads(toy_step(), np.full(4, 7.0))
    assert loads.arrived_LR == pytest.approx(4 * 7.0 * 13 / 28)
    assert loads.rows_LR == pytest.approx(4 * 7.0 * 14 / 28)


def test_a_placement_does_not_know_how_popularity_has_drifted():
    layout = Layout(expert_placement="eplb", n_redundant_experts=4)
    known, now = (
        next(layer_routings(toy_step(layout=layout, routing={"popularity": "lognormal:1.1", "drift": drift}, seed=1)))
        for drift in (0.0, 0.3)
    )
    assert (known.placement.expert_Q == now.placement.expert_Q).all()
    assert known.popularity_N != pytest.approx(now.popularity_N, rel=0.01)


def test_drift_spreads_the_logs_of_popularity_by_as_much():
    even_N = np.full(40_000, 1 / 40_000)
    logs = np.log(drifted(even_N, 0.2, np.random.default_rng(1)))
    assert logs.std() == pytest.approx(0.2, rel=0.02)
