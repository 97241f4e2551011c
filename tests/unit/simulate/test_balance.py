"""How evenly rows fall on ranks: figures of a step, their table, traces step by step; the cost of moving experts."""

from dataclasses import replace

import numpy as np
import pytest
from small_fabrics import GB, fabric
from unit.workloads.toys import toy_step

from hw_profiles.faults import InputFaults
from hw_profiles.loader import load_profile
from simulator.balance import balance_metrics, balance_over_steps, hottest_over_mean, rank_loads
from simulator.evaluate import evaluate, run_scenario
from simulator.rebalancing import rebalancing
from simulator.scenario import build_scenario
from workloads.layout import Layout
from workloads.memory import WEIGHT_BYTES, memory_use
from workloads.placements import rebalance_moves
from workloads.routing_trace import routing_trace, write_routing_trace
from workloads.zoo import expert_parameters, longcat_flash

REMAPPED = {"zero_experts": "remap0"}  # the tiny model: 2 of 8 FFN experts per token, and one more row of expert 0
TINY = {"model": "tiny", "machine": "h800_sxm", "n_gpus": 4, "layout": {"ep": 4}, "batch": {"sequences_per_gpu": 6.0}}


def test_figures_of_a_step_by_hand():
    """24 tokens make 48 rows on four ranks, 12 each, and 24 more on rank 0: 36 of a mean of 18."""
    metrics = balance_metrics(run_scenario(build_scenario({**TINY, "routing": REMAPPED})))
    assert metrics == {
        "load_imbalance": pytest.approx(2.0), "balancedness": pytest.approx(0.5), "hottest_rank": 0,
    }  # fmt: skip


def test_means_are_taken_over_layers():
    rows_LR = np.array([[1.0, 3.0], [2.0, 2.0], [0.0, 0.0]])
    assert hottest_over_mean(rows_LR).tolist() == [1.5, 1.0, 1.0]


def test_the_table_of_rank_loads():
    table = rank_loads(toy_step(routing=REMAPPED, sequences=6))
    assert list(table.columns) == ["layer", "rank", "rows", "active_experts", "share"]
    assert table["rank"].tolist() == [0, 1, 2, 3]
    assert table["rows"].tolist() == pytest.approx([36, 12, 12, 12])
    assert table["share"].tolist() == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6])


def test_load_aware_placement_flattens_what_contiguous_does_not():
    routing = {"popularity": "power_law:1.2"}
    found = {
        rule: balance_metrics(run_scenario(build_scenario({
            **TINY, "routing": routing, "seed": 4,
            "layout": {"ep": 4, "expert_placement": rule, "n_redundant_experts": 8},
        })))["load_imbalance"]
        for rule in ("contiguous", "eplb")
    }  # fmt: skip
    assert 1.0 <= found["eplb"] < found["contiguous"]


@pytest.fixture
def trace_file(tmp_path):
    """Two steps of two tokens: in the first both take experts 0 and 1, in the second 2 and 4; zero experts else."""
    ids = [np.array([[0, 1, 9]] * 2, dtype=np.int16), np.array([[2, 4, 9]] * 2, dtype=np.int16)]
    path = tmp_path / "trace.npz"
    write_routing_trace(routing_trace([ids, ids], n_routed_experts=8, n_zero_experts=4), path)
    return f"trace:{path}"


def test_a_trace_is_uneven_step_by_step(trace_file):
    """Two experts on a rank: the first step's rows all fall on rank 0 (4 of a mean of 1), the second's on 1 and 2."""
    table = balance_over_steps(toy_step(routing={"popularity": trace_file}))
    assert table["step"].tolist() == [0, 0, 1, 1]
    assert table["layer"].tolist() == [0, 1, 0, 1]
    assert table["load_imbalance"].tolist() == pytest.approx([4, 4, 2, 2])
    assert table["balancedness"].tolist() == pytest.approx([1 / 4, 1 / 4, 1 / 2, 1 / 2])


def test_steps_are_those_of_a_trace():
    with pytest.raises(InputFaults, match="allowed trace:FILE"):
        balance_over_steps(toy_step())


def test_a_window_of_a_trace_is_its_first_steps(trace_file):
    """Placed by the first step alone, experts 0 and 1 are kept apart; 2 and 4 need not be."""
    layout = Layout(expert_placement="eplb", placement_loads="window:1")
    table = balance_over_steps(toy_step(layout=layout, routing={"popularity": trace_file}))
    assert table["load_imbalance"].tolist()[:2] == pytest.approx([2, 2])


MOVING = Layout(ep=4, expert_placement="eplb", placement_loads="window:1", rebalance_every_steps=5)


def test_moved_experts_take_their_bytes_over_their_links():
    step, profile = toy_step(layout=MOVING, routing={"popularity": "power_law:1.2"}, seed=1), load_profile("h800_sxm")
    moved_SD, cost = rebalance_moves(step), rebalancing(step, profile)
    assert not moved_SD.diagonal().any()
    expert_bytes = expert_parameters(step.model) * WEIGHT_BYTES["fp8"]
    assert cost.bytes_per_step == pytest.approx(moved_SD.sum() / 4 * expert_bytes / 5)
    node_E = np.arange(4) // step.devices_per_node
    inside_SD = node_E[:, None] == node_E
    busy_s = [
        max(part_SD.sum(axis=0).max(), part_SD.sum(axis=1).max()) * expert_bytes / (link.bytes_per_s * link.efficiency)
        for part_SD, link in (
            (np.where(inside_SD, moved_SD, 0), profile.tiers["nvlink"]),
            (np.where(inside_SD, 0, moved_SD), profile.tiers["nic"]),
        )
    ]
    assert cost.s_per_step == pytest.approx(max(busy_s) / 5) != 0.0


def test_moved_experts_crowd_the_leaves_that_they_cross():
    """Two nodes of two ranks, a leaf each: what leaves or enters a node shares half a cable of 1 GB/s."""
    step = toy_step(layout=MOVING, routing={"popularity": "power_law:1.2"}, seed=1)
    moved_SD, cost = rebalance_moves(step), rebalancing(step, fabric(oversubscription=4.0))
    crossing = max(moved_SD[:2, 2:].sum(), moved_SD[2:, :2].sum())
    expert_bytes = expert_parameters(step.model) * WEIGHT_BYTES["fp8"]
    assert cost.s_per_step == pytest.approx(crossing * expert_bytes / (0.5 * GB) / 5)


def test_rarer_rebalancing_costs_less_per_step_in_proportion():
    step, profile = toy_step(layout=MOVING, routing={"popularity": "power_law:1.2"}, seed=1), load_profile("h800_sxm")
    rare = replace(step, layout=replace(MOVING, rebalance_every_steps=50))
    assert rebalancing(step, profile).s_per_step == pytest.approx(10 * rebalancing(rare, profile).s_per_step)


def test_the_step_pays_for_moving_experts():
    layout = {"ep": 4, "expert_placement": "eplb", "placement_loads": "window:1"}
    tables = {**TINY, "seed": 1, "routing": {"popularity": "power_law:1.2"}}
    still = evaluate(build_scenario({**tables, "layout": layout})).metrics
    moving = evaluate(build_scenario({**tables, "layout": {**layout, "rebalance_every_steps": 5}})).metrics
    assert "rebalance_s" not in still
    assert moving["rebalance_s"] > 0
    assert moving["step_s"] == pytest.approx(still["step_s"] + moving["rebalance_s"])
    assert moving["tpot_s"] == pytest.approx(moving["step_s"])


def test_redundant_experts_take_memory():
    """128 more of 512 experts on 128 ranks: one expert more per rank and layer, and room for their messages."""
    base = toy_step(model=longcat_flash(), n_gpus=128, per_node=8, ep=128, sequences=96)
    more = replace(base, layout=replace(base.layout, n_redundant_experts=128))
    one_expert = expert_parameters(longcat_flash()) * longcat_flash().n_layers * WEIGHT_BYTES["fp8"]
    items, with_copies = memory_use(base).items, memory_use(more).items
    assert with_copies["expert weights"] - items["expert weights"] == pytest.approx(one_expert)
    assert with_copies["all-to-all buffers"] == pytest.approx(items["all-to-all buffers"] * 640 / 512)
    assert with_copies["attention weights"] == items["attention weights"]


def test_more_copies_than_memory_is_an_answer_with_its_reason():
    tables = {
        "model": "longcat_flash", "machine": "h800_sxm", "n_gpus": 128, "batch": {"sequences_per_gpu": 96.0},
        "layout": {"ep": 128, "n_redundant_experts": 512 * 8},
    }  # fmt: skip
    answer = evaluate(build_scenario(tables))
    assert not answer.feasible
    assert "expert weights" in answer.reason
