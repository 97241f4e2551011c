"""Lower bounds of steps are never above what the engine says."""

from random import Random

import pytest

from simulator.planner.bounds import StepBound
from simulator.planner.load import load_of
from simulator.planner.operating import Point
from simulator.planner.plan_files import build_question
from simulator.planner.search import ROLES, search
from simulator.planner.short_steps import ShortStepTimes
from simulator.planner.space import families, scenario_of, site_of
from simulator.planner.workshop import Workshop, promise_of
from simulator.serving.step_times import GroupBatch, StepBatch

PAIRS = (
    ("deepseek_v3", "h200_sxm"), ("longcat_flash", "h800_sxm"), ("qwen3_235b", "b200_sxm"), ("longcat_2", "h200_efa"),
    ("longcat_flash", "longcat_report_theory"), ("mixtral_8x7b", "mi300x"),
)  # fmt: skip


def batches(rng, family, role):
    groups = family.n_groups
    if role == "decode":
        n, context = rng.choice([1, 8, 96, 300]) * groups, rng.choice([100, 5000, 40_000])
        return StepBatch(n_decode=n, decode_context_tokens=n * context)
    n, tokens = rng.choice([1, groups]), rng.choice([300, 6000])
    fullest = GroupBatch(0, 0, ((tokens, 0),)) if n < groups else None
    return StepBatch(n_decode=0, decode_context_tokens=0, prefills=((tokens, 0),) * n, fullest=fullest)


@pytest.mark.parametrize(("model", "machine"), PAIRS)
def test_no_step_is_faster_than_its_bound(model, machine):
    rng = Random(3)
    question = build_question({"model": model, "machines": [machine], "n_gpus": [32]})
    site = site_of(question, machine)
    for role in ("prefill", "decode"):
        found = families(question, site, role, 32)
        for family in rng.sample(found, 6):
            scenario, batch = scenario_of(question, site, family), batches(rng, family, role)
            assert 0.0 < StepBound(scenario).seconds(batch) < ShortStepTimes(scenario).seconds(batch), family.name


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_a_family_that_bounds_rule_out_is_worse_when_simulated_than_what_was_kept(shop_of, role):
    shop = shop_of()
    promise = promise_of(shop.question)
    found = search(shop, role, promise, 8)
    assert found.pruned
    for pruned in found.pruned:
        point = shop.replica(pruned.family).point(promise)
        if isinstance(point, Point):
            assert point.rate_per_s <= pruned.kept_per_s, pruned.family.name
            assert point.rate_per_s <= pruned.upper_per_s * (1.0 + 1e-3), pruned.family.name


def test_an_upper_bound_is_above_every_simulated_point():
    question = build_question({"model": "deepseek_v3", "machines": ["h200_sxm"], "n_gpus": [16],
                               "targets": {"ttft_s": 3.0, "tpot_s": 0.06}})  # fmt: skip
    shop = Workshop(question, "h200_sxm", load_of(question))
    promise = promise_of(question)
    for family in shop.families("decode", 16)[::9]:
        upper, point = shop.upper(family, promise), shop.replica(family).point(promise)
        if isinstance(point, Point):
            assert isinstance(upper, Point)
            assert upper.rate_per_s > point.rate_per_s
