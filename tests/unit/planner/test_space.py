"""Candidates are legal by construction."""

from dataclasses import replace

import pytest

from simulator.planner.plan_files import build_question
from simulator.planner.space import families, scenario_of, site_of
from simulator.scenario_checks import check_scenario

CASES = (
    ("deepseek_v3", "h200_sxm", 64), ("longcat_flash", "h800_sxm", 32), ("qwen3_235b", "gb200_nvl72", 64),
    ("mixtral_8x7b", "mi300x", 16), ("longcat_2", "h200_efa", 32),
)  # fmt: skip


@pytest.mark.parametrize(("model", "machine", "n_gpus"), CASES)
def test_every_candidate_passes_the_checks_of_scenarios(model, machine, n_gpus):
    question = build_question({"model": model, "machines": [machine], "n_gpus": [n_gpus],
                               "traffic": {"acceptance": [0.8]}})  # fmt: skip
    site = site_of(question, machine)
    for role in ("prefill", "decode", "together"):
        found = families(question, site, role, n_gpus)
        assert len(found) == len(set(found)) > 0
        for family in found[:: max(1, len(found) // 40)]:
            scenario = scenario_of(question, site, family)
            scenario = scenario.variant(batch=replace(scenario.batch, prompt_tokens=128))
            assert check_scenario(scenario) == [], family.name


def test_copies_make_other_sizes_of_ep_possible(question_of):
    changes = {"model": "deepseek_v3", "machines": ["h200_sxm"], "n_gpus": [72]}
    plain = question_of(**changes)
    copies = question_of(**changes, search={"redundant_experts": [0, 32]})
    for question, wanted in ((plain, set()), (copies, {72})):
        found = families(question, site_of(question, "h200_sxm"), "decode", 72)
        assert {family.n_gpus for family in found} & {72} == wanted


def test_what_may_be_chosen_is_what_was_asked_for(question_of):
    question = question_of(search={"ep": [4], "attention_tp": [2], "schedules": ["sequential"]})
    found = families(question, site_of(question, "h100_sxm"), "decode", 8)
    assert {(f.layout.ep, f.layout.attention_tp, f.schedule) for f in found} == {(4, 2, "sequential")}
