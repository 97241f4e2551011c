"""Published rows of a deployment, read and set beside a step."""

from dataclasses import replace

import pytest

from hw_profiles.faults import InputFaults
from simulator.evaluate import run_scenario
from validation.clusters.deployed_rows import DeployedRow, read_rows, redundant_experts, scenario_of, step_s

ROW = """
[rows.mine]
what = "TPOT of mine"
scenario = "longcat-flash-lite-decode-h800x8"
n_gpus = 8
context_tokens = 1000
tokens_per_s_per_gpu = 1600
tokens_per_s_per_user = 50
source = "me"
"""


def read(tmp_path, text):
    path = tmp_path / "rows.toml"
    path.write_text(text)
    return read_rows(path)


def faults_of(tmp_path, text):
    with pytest.raises(InputFaults) as caught:
        read(tmp_path, text)
    return str(caught.value)


def test_a_row_gives_the_sequences_and_the_time_per_token(tmp_path):
    row = read(tmp_path, ROW)["mine"]
    assert row.n_sequences == 32
    assert row.tpot_s == pytest.approx(0.02)


def test_a_row_may_give_its_sequences_instead_of_the_throughput(tmp_path):
    row = read(tmp_path, ROW.replace("tokens_per_s_per_gpu = 1600", "sequences_per_gpu = 96"))["mine"]
    assert row.n_sequences == 96


def test_faults_of_a_rows_file_are_told_in_words(tmp_path):
    assert "rows.mine.contexttokens" in faults_of(tmp_path, ROW.replace("context_tokens", "contexttokens"))
    assert "rows.mine.n_gpus: got 0" in faults_of(tmp_path, ROW.replace("n_gpus = 8", "n_gpus = 0"))
    assert "rows.mine.sequences_per_gpu" in faults_of(tmp_path, ROW.replace("tokens_per_s_per_gpu = 1600", ""))
    assert "got no row" in faults_of(tmp_path, "a = 1")
    assert "rows.toml: got" in faults_of(tmp_path, "rows = [")


def test_a_file_that_is_not_there_is_told_in_words(tmp_path):
    with pytest.raises(InputFaults, match="nowhere"):
        read_rows(tmp_path / "nowhere.toml")


def test_redundant_experts_fill_every_rank_and_are_never_none():
    assert redundant_experts(512, 128) == 128
    assert redundant_experts(256, 144) == 32


def test_what_the_row_says_wins_over_the_settings(tmp_path):
    row = read(tmp_path, ROW + 'settings = { "mtp.acceptance" = [0.5] }')["mine"]
    settings = {"mtp.acceptance": [0.9], "mtp.n_draft": 1, "batch.context_tokens": 7.0, "schedule": "two_stream"}
    scenario = scenario_of(row, settings)
    assert list(scenario.mtp.acceptance) == [0.5]
    assert scenario.batch.context_tokens == 1000
    assert scenario.schedule == "two_stream"


@pytest.mark.parametrize(("name", "schedule"), [
    ("longcat-flash-decode-h800x128", "sbo"),
    ("longcat-flash-decode-h800x128", "two_stream"),
    ("longcat-flash-decode-h800x128", "tbo"),
    ("deepseek-v3-decode-h800x128", "tbo"),
    ("deepseek-v3-decode-h800x128", "tbo_five_stage"),
])  # fmt: skip
def test_a_step_follows_from_its_first_layers_where_all_are_alike(name, schedule):
    row = DeployedRow(what="", scenario=name, n_gpus=128, context_tokens=4000.0, tokens_per_s_per_user=50.0, source="",
                      sequences_per_gpu=16.0)  # fmt: skip
    scenario = scenario_of(row, {"schedule": schedule})
    whole_s = float(run_scenario(scenario).timeline["end_s"].max())
    assert step_s(scenario) == pytest.approx(whole_s)


def test_curves_may_stand_in_place_of_the_machines():
    row = DeployedRow(what="", scenario="longcat-flash-decode-h800x128", n_gpus=128, context_tokens=4000.0,
                      tokens_per_s_per_user=50.0, source="", sequences_per_gpu=16.0)  # fmt: skip
    scenario = scenario_of(row, {})
    rooflines = replace(scenario, run=replace(scenario.run, costs="roofline"))
    assert step_s(scenario, {}) == pytest.approx(step_s(rooflines))
