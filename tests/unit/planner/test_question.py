"""Questions that cannot be answered say so in words."""

import pytest

from hw_profiles.faults import InputFaults
from simulator.planner.make_plan import make_plan
from simulator.planner.plan_files import build_question, list_plans, load_question
from simulator.planner.question import Task, Traffic

LEAST = {"model": "mixtral_8x7b", "machines": ["h100_sxm"], "n_gpus": [8]}
BAD = {
    "an unknown key": ({"targts": {}}, "targts"),
    "an unknown key inside": ({"traffic": {"requests": 3}}, "traffic.requests"),
    "an unknown model": ({"model": "mixtral_9x7b"}, "model"),
    "an unknown machine": ({"machines": ["h101_sxm"]}, "machine"),
    "no machine": ({"machines": []}, "machines"),
    "a machine twice": ({"machines": ["h100_sxm", "h100_sxm"]}, "machines"),
    "nothing to size": ({"n_gpus": []}, "n_gpus"),
    "two amounts": ({"traffic": {"requests_per_s": 3.0, "users": 5}}, "traffic.users"),
    "a wait of nobody": ({"traffic": {"think_s": 3.0}}, "traffic.think_s"),
    "an absurd target": ({"targets": {"tpot_s": -1.0}}, "targets.tpot_s"),
    "no number": ({"targets": {"tpot_s": float("nan")}}, "targets.tpot_s"),
    "a percentile of more than all": ({"targets": {"ttft_percentile": 150.0}}, "targets.ttft_percentile"),
    "goodput of nothing": ({"targets": {"goodput_share": 0.9}}, "targets.goodput_share"),
    "nothing to choose": ({"search": {"serving": []}}, "search.serving"),
    "an unknown schedule": ({"search": {"schedules": ["sob"]}}, "search.schedules"),
    "an unknown preset": ({"search": {"backend": "sgland"}}, "search.backend"),
    "GPUs that are none": ({"n_gpus": [0]}, "n_gpus"),
    "a bad law": ({"traffic": {"prompt": "fixd:3"}}, "traffic.prompt"),
    "shares that are no whole": ({"traffic": {"tasks": {"chat": {"share": 0.4}}}}, "traffic.tasks"),
    "no probability": ({"traffic": {"acceptance": [80.0]}}, "traffic.acceptance"),
    "a price of nobody": ({"prices": {"usd_per_gpu_hour": {"h200_sxm": 2.0}}}, "prices.usd_per_gpu_hour"),
    "FFN experts of a model that has no others": ({"traffic": {"ffn_experts": 1.0}}, "traffic.ffn_experts"),
    "more FFN experts than are chosen": (
        {"model": "longcat_flash", "traffic": {"tasks": {"chat": {"share": 1.0, "ffn_experts": 100.0}}}},
        "traffic.tasks.chat.ffn_experts",
    ),
    "an unknown popularity": ({"popularity": "bogus"}, "popularity"),
    "a node and a half": ({"n_gpus": [12]}, "n_gpus"),
    "more GPUs than the fabric has": ({"n_gpus": [100_000]}, "n_gpus"),
    "lengths beside a trace": ({"traffic": {"trace": "nowhere.csv", "prompt": "fixed:7"}}, "traffic.prompt"),
    "failures more often than hourly": ({"failures": {"mtbf_hours": {"device": 0.1}}}, "failures.mtbf_hours.device"),
    "a trace that is none": ({"traffic": {"trace": "nowhere.csv"}}, "traffic.trace"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_question_names_the_field(what):
    changes, field = BAD[what]
    with pytest.raises(InputFaults) as caught:
        build_question({**LEAST, **changes})
    assert any(fault.field.startswith(field) for fault in caught.value.faults), str(caught.value)


def test_all_faults_of_sense_come_together():
    with pytest.raises(InputFaults) as caught:
        build_question({**LEAST, "seed": -1, "targets": {"ttft_s": -1.0}, "search": {"tp_tokens": []}})
    assert len(caught.value.faults) == 3


def test_an_empty_set_of_candidates_says_what_was_asked_for():
    question = build_question({**LEAST, "search": {"ep": [3]}})
    with pytest.raises(InputFaults, match=r"search: got no candidate for prefill or decode or together: ep=\[3\]"):
        make_plan(question, n_workers=1)


def test_drafts_that_the_model_cannot_make_say_which_role_has_no_candidate():
    question = build_question({**LEAST, "search": {"n_draft": [2]}})
    with pytest.raises(InputFaults, match=r"search: got no candidate for decode or together: n_draft=\[2\]"):
        make_plan(question)


def test_answers_of_one_token_are_not_planned():
    with pytest.raises(InputFaults, match=r"traffic\.output"):
        make_plan(build_question({**LEAST, "traffic": {"output": "fixed:1"}}), n_workers=1)


def test_shipped_plans_load():
    assert len(list_plans()) >= 3
    for name in list_plans():
        assert load_question(name).title


def test_tasks_mix_their_acceptance_by_draft():
    traffic = Traffic(
        tasks={"code": Task(share=0.5, acceptance=(0.9, 0.8)), "chat": Task(share=0.5, acceptance=(0.7,))}
    )
    first, second = traffic.mean_acceptance
    assert first == pytest.approx(0.8)
    assert first * second == pytest.approx(0.5 * 0.9 * 0.8)
