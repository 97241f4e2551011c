"""Why one step is longer than another: parts that add up, causes that are amounts of the runs."""

from dataclasses import replace
from math import comb, fsum

import pytest

from simulator.answer import Answer
from simulator.differences import best_first, difference_parts, distinct
from simulator.evaluate import evaluate
from simulator.scenario import build_scenario, load_scenario

SMALL = {
    "model": "tiny", "machine": "h800_sxm", "n_gpus": 8, "layout": {"ep": 8},
    "batch": {"sequences_per_gpu": 64.0, "context_tokens": 1000.0}, "run": {"costs": "roofline"},
}  # fmt: skip


def answer_to(**changes):
    return evaluate(build_scenario({**SMALL, **changes}))


@pytest.fixture(scope="module")
def itself() -> Answer:
    return answer_to()


def causes_of(base, other, kind):
    (part,) = [part for part in difference_parts(base, other) if part.kind == kind]
    return {cause.name: (cause.before, cause.after) for cause in part.causes}


@pytest.mark.parametrize(
    "changes",
    [
        {"layout": {"ep": 4}},
        {"schedule": "sbo"},
        {"routing": {"popularity": "power_law:1.2"}},
        {"run": {"launch": "eager", "costs": "roofline"}},
        {"routing": {"popularity": "power_law:1.2"},
         "layout": {"ep": 8, "expert_placement": "eplb", "rebalance_every_steps": 10, "placement_loads": "window:4"}},
    ],
)  # fmt: skip
def test_the_parts_add_up_to_the_difference_of_the_steps(itself, changes):
    other = answer_to(**changes)
    parts = difference_parts(itself, other)
    assert [abs(part.change_s) for part in parts] == sorted((abs(part.change_s) for part in parts), reverse=True)
    step_s = other.metrics["step_s"]
    # a path is a sum of some hundred floats, each rounded to 1e-16 of the step
    assert fsum(p.change_s for p in parts) == pytest.approx(step_s - itself.metrics["step_s"], abs=1e-12 * step_s)


def test_an_answer_differs_from_itself_in_nothing(itself):
    parts = difference_parts(itself, itself)
    assert {part.change_s for part in parts} == {0.0}
    assert not any(part.causes for part in parts)


def test_a_quarter_of_the_ranks_to_a_group_read_four_times_the_weights():
    """LongCat on 128 GPUs: 16 experts instead of 4 on each rank, all of them with rows."""
    wide, narrow = (evaluate(load_scenario("longcat-flash-decode-h800x128", [f"layout.ep={ep}"])) for ep in (128, 32))
    before, after = causes_of(wide, narrow, "experts")["weights"]
    assert after == pytest.approx(4 * before)


@pytest.mark.parametrize(("ep", "stays", "leaves"), [(8, 1 / 8, 0.0), (16, 1 / 16, 1 / 2), (128, 1 / 128, 15 / 16)])
def test_of_even_copies_those_for_the_own_rank_stay_and_those_for_other_nodes_leave(ep, stays, leaves):
    """H800 sends all copies over the NIC, those inside the node too, and charges the local ones: each counts once."""
    settings = [f"layout.ep={ep}", "model_overrides.n_layers=4"]  # few enough for EP 8 to fit
    answer = evaluate(load_scenario("longcat-flash-decode-h800x128", settings))
    (dispatch,) = [amounts for amounts in answer.amounts if amounts.kind == "dispatch"]
    copies = 96 * 2 * 8 * 4  # sequences, with a draft each, FFN experts on average, layers
    assert sum(dispatch.sent_bytes.values()) == pytest.approx(copies * (6144 + 4 * 6144 / 128 + 16))
    assert dispatch.sent_bytes["local"] / sum(dispatch.sent_bytes.values()) == pytest.approx(stays)
    assert dispatch.remote_bytes / sum(dispatch.sent_bytes.values()) == pytest.approx(leaves)


def test_one_copy_per_node_instead_of_one_per_expert_is_named_by_what_crosses_nodes():
    """A token's 8 experts of 512 lie on 8 nodes of 64: it reaches another node with 1 - C(448, 8) / C(512, 8)."""
    copies, once = (
        evaluate(load_scenario("longcat-flash-decode-h800x128", ["layout.ep=64", f"run.all_to_all={name}"]))
        for name in ("pairwise", "normal")
    )
    before, after = causes_of(copies, once, "dispatch")["remote"]
    assert after / before == pytest.approx(7 * (1 - comb(448, 8) / comb(512, 8)) / (8 * 7 / 8))


def test_a_slower_link_changes_no_amount_but_the_pace(itself):
    slow = answer_to(machine_overrides={"tiers.nvlink.bytes_per_s": 20e9})
    assert list(causes_of(itself, slow, "combine")) == ["pace"]


def test_overlap_is_named_as_what_hides(itself):
    before, after = causes_of(itself, answer_to(schedule="sbo"), "dense_ffn")["hidden"]
    assert before == pytest.approx(0.0, abs=1e-12)
    assert after > 0.0


def test_eager_launches_stand_before_the_ops_or_in_them(itself):
    eager = answer_to(run={"launch": "eager", "costs": "roofline"})
    (norm,) = [part for part in difference_parts(itself, eager) if part.kind == "norm"]
    assert norm.change_s > 0.0
    assert {cause.name for cause in norm.causes} <= {"pace", "queued"}


def test_two_halves_of_a_batch_launch_twice_the_kernels(itself):
    before, after = causes_of(itself, answer_to(schedule="tbo"), "attention")["kernels"]
    assert after == 2 * before


def test_a_hot_expert_makes_its_rank_compute_and_move_more(itself):
    hot = answer_to(routing={"popularity": "power_law:1.2"})
    before, after = causes_of(itself, hot, "combine")["crossing"]
    assert after > before


def test_most_tokens_come_first_equals_as_given_and_what_cannot_run_last(itself):
    slow = replace(itself, name="slow", metrics={**itself.metrics, "tokens_per_s_per_gpu": 1.0})
    twin, broken = replace(itself, name="twin"), replace(itself, name="broken", feasible=False)
    ordered = best_first([broken, slow, itself, twin])
    assert [answer.name for answer in ordered] == ["scenario", "twin", "slow", "broken"]
    assert [answer.name for answer in distinct(ordered)] == ["scenario", "slow"]
