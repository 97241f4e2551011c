"""Whole plans of a small model: confirmed, hit by another seed, explained when nothing serves."""

from dataclasses import replace

import pytest

from simulator.planner.confirm import Rehearsal
from simulator.planner.continuity import NO_CAUSE
from simulator.planner.make_plan import make_plan
from simulator.planner.plan_files import build_question
from simulator.planner.workshop import Workshop
from simulator.report.plan_document import plan_document
from simulator.report.plan_page import write_plan_page
from simulator.report.plan_words import headline, sentences
from simulator.scenario import load_scenario

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def answer():
    question = build_question({
        "model": "mixtral_8x7b", "machines": ["h100_sxm", "h200_sxm"], "n_gpus": [4],
        "traffic": {"prompt": "lognormal:1500,cv=0.7", "output": "lognormal:150,cv=0.5"},
        "targets": {"ttft_s": 1.0, "tpot_s": 0.04}, "search": {"confirmed": 1},
    })  # fmt: skip
    return make_plan(question, n_workers=1)


def test_the_recommended_plan_meets_its_targets_with_another_seed(answer):
    best = answer.best
    assert best.confirmed
    shop = Workshop(answer.question, best.plan.machine, answer.load)
    seeds = {trial.seed for trial in best.trials}
    fresh = Rehearsal(shop, best.plan).at(best.rate_per_s, max(seeds) + 101)
    assert fresh.misses == {}


def test_every_jump_has_a_cause(answer):
    jumps = [count for count in answer.counts if abs(count.jump) > 0.05]
    assert jumps
    assert all(count.cause for count in jumps)
    assert not any(NO_CAUSE in count.cause for count in jumps)


def test_the_answer_comes_first_with_its_interval(answer):
    low, high = answer.interval["rate_per_s"]
    assert low <= answer.best.rate_per_s <= high * 1.001
    assert headline(answer).startswith("4 h")
    assert "10-90 %" in headline(answer)
    assert any(sentence.startswith("What binds") for sentence in sentences(answer))


def test_failures_are_counted_in_replicas_and_paid_for(answer):
    best = answer.best
    units = {"prefill": best.plan.prefill, "decode": best.plan.decode, "replicas": best.plan.decode}
    assert {pool.pool: pool.unit_gpus for pool in best.spares} == {
        pool.pool: units[pool.pool].family.n_gpus for pool in best.spares
    }
    assert best.usd_per_hour_with_spares == pytest.approx(
        (best.plan.n_gpus + sum(pool.n_gpus for pool in best.spares)) * best.plan.usd_per_gpu_hour
    )


def test_a_dearer_machine_costs_more_by_as_much(answer):
    own = next(c for c in answer.changes if c.change == f"+ 20 % price of {answer.best.plan.machine}")
    assert own.usd_per_hour == pytest.approx(1.2 * own.usd_per_hour_before) or not own.same


def test_the_plan_is_a_scenario_that_loads(answer, tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(answer.scenario, encoding="utf-8")
    scenario = load_scenario(str(path))
    assert scenario.n_gpus == answer.best.plan.decode.family.n_gpus


def test_page_and_document_hold_the_answer(answer, tmp_path):
    write_plan_page(answer, tmp_path / "plan.html", title="a plan")
    page = (tmp_path / "plan.html").read_text(encoding="utf-8")
    assert "What would change it" in page
    assert "sglang.launch_server" in page
    document = plan_document(answer)
    assert document["options"][0]["confirmed"] is True
    assert {row["change"] for row in document["changes"]} >= {"+ 20 % prompt tokens", "− 20 % link speed",
                                                           "+ 20 % price of h200_sxm"}  # fmt: skip
    assert document["break_evens"][0]["machine"] != answer.best.plan.machine


def test_unmeetable_targets_say_which_by_how_much_and_what_would_do(answer):
    question = replace(answer.question, targets=replace(answer.question.targets, tpot_s=1e-4))
    nothing = make_plan(question, n_workers=1)
    assert nothing.best is None
    assert not nothing.feasible
    miss = next(miss for miss in nothing.misses if miss.target == "tpot")
    assert "TPOT is" in headline(nothing)
    assert "times the 100 µs asked for" in headline(nothing)
    relaxed = replace(question, machines=[miss.machine], targets=replace(question.targets, tpot_s=miss.reaches * 1.02),
                      search=replace(question.search, confirmed=0))  # fmt: skip
    assert make_plan(relaxed).best is not None


def test_a_model_that_does_not_fit_says_so():
    question = build_question({"model": "deepseek_v3", "machines": ["h100_sxm"], "n_gpus": [8],
                               "targets": {"tpot_s": 0.05}})  # fmt: skip
    nothing = make_plan(question, n_workers=1)
    assert {miss.target for miss in nothing.misses} == {"memory"}
    assert "the smallest replica with room has 16 GPUs" in headline(nothing)


def test_a_rate_that_is_too_much_says_how_much_is_served():
    question = build_question({"model": "mixtral_8x7b", "machines": ["h100_sxm"], "targets": {"tpot_s": 0.04},
                               "traffic": {"requests_per_s": 1e5}, "search": {"most_gpus": 8}})  # fmt: skip
    nothing = make_plan(question, n_workers=1)
    assert [miss.target for miss in nothing.misses] == ["rate"]
    assert "of 100,000 asked for" in headline(nothing)
