"""longsim runs and longsim whatif."""

import csv
import json

import pytest
from store_cases import FEW, vary_words

from simulator.evaluate import evaluate
from simulator.scenario import load_scenario


@pytest.fixture
def few(longsim, small, tmp_path):
    """A store with the four runs of FEW; words that list it."""
    path = str(tmp_path / "few.sqlite")
    said = longsim("sweep", small, *vary_words(FEW), "--store", path, "--json")
    assert said.code == 0, said.err
    assert [row["feasible"] for row in said.document["rows"]] == [True] * 4
    return path


def keys_of(said):
    return [run["key"] for run in said.document["runs"]]


def test_all_runs_are_listed_and_some_by_their_values(longsim, few):
    assert len(keys_of(longsim("runs", few, "--json"))) == 4
    narrow = longsim("runs", few, "--json", "--where", "schedule=sbo", "--where", "batch.context_tokens=100")
    assert [run["name"] for run in narrow.document["runs"]] == ["schedule=sbo context_tokens=100"]


def test_the_list_says_how_far_each_sweep_is(longsim, few):
    out = longsim("runs", few).out
    assert ": 4 of 4 of " in out
    assert "schedule=sbo context_tokens=200" in out


@pytest.mark.parametrize(("where", "words"), [
    ("schedul=sbo", "did you mean 'schedule'?"), ("sbo", "write the key, an equals sign, a value"),
])  # fmt: skip
def test_a_condition_that_is_none_is_a_fault(longsim, few, where, words):
    said = longsim("runs", few, "--where", where)
    assert said.code == 2
    assert words in said.err


def test_runs_are_exported_as_rows_and_whole(longsim, few, tmp_path):
    for name in ("runs.csv", "runs.json"):
        assert longsim("runs", few, "--out", str(tmp_path / name)).code == 0
    rows = list(csv.DictReader((tmp_path / "runs.csv").read_text().splitlines()))
    whole = json.loads((tmp_path / "runs.json").read_text())
    assert [row["key"] for row in rows] == [run["key"] for run in whole]
    assert [float(row["metrics.step_s"]) for row in rows] == [run["metrics"]["step_s"] for run in whole]
    assert {row["scenario.schedule"] for row in rows} == {"sequential", "sbo"}


def test_parquet_holds_what_csv_holds(longsim, few, tmp_path):
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    for name in ("runs.csv", "runs.parquet"):
        assert longsim("runs", few, "--out", str(tmp_path / name)).code == 0
    one, other = pandas.read_csv(tmp_path / "runs.csv"), pandas.read_parquet(tmp_path / "runs.parquet")
    assert list(one.columns) == list(other.columns)
    assert one["metrics.step_s"].tolist() == other["metrics.step_s"].tolist()


def test_a_file_of_another_kind_is_a_fault(longsim, few, tmp_path):
    assert "name it .csv, .parquet or .json" in longsim("runs", few, "--out", str(tmp_path / "runs.xls")).err


def test_two_runs_are_compared_by_parts_that_add_up(longsim, few):
    runs = longsim("runs", few, "--json", "--where", "batch.context_tokens=200").document["runs"]
    said = longsim("runs", few, "--compare", runs[0]["key"][:10], runs[1]["key"], "--json")
    change_s = runs[1]["metrics"]["step_s"] - runs[0]["metrics"]["step_s"]
    assert sum(part["change_s"] for part in said.document["parts"]) == pytest.approx(change_s, abs=1e-12)
    words = longsim("runs", few, "--compare", runs[0]["key"], runs[1]["key"]).out
    assert f"{runs[1]['name']} against {runs[0]['name']}" in words


def test_a_key_that_no_run_has_is_a_fault(longsim, few):
    said = longsim("runs", few, "--compare", "nothing", "nowhere")
    assert said.code == 2
    assert "which no key starts with" in said.err


def test_whatif_sets_before_beside_after(longsim, small):
    said = longsim("whatif", small, "--set", "batch.context_tokens=2x", "--set", "schedule=sbo", "--json")
    assert said.code == 0, said.err
    document = said.document
    assert document["set"] == {"batch.context_tokens": [5000, 10000], "schedule": ["sequential", "sbo"]}
    for side, settings in (("before", []), ("after", ["batch.context_tokens=10000", "schedule=sbo"])):
        assert document[side]["metrics"]["step_s"] == evaluate(load_scenario(small, settings)).metrics["step_s"]
    changes = [document[side]["metrics"]["step_s"] for side in ("after", "before")]
    assert sum(part["change_s"] for part in document["parts"]) == pytest.approx(changes[0] - changes[1], abs=1e-12)


def test_twice_the_speed_of_links_moves_the_same_bytes_in_less_time(longsim, small):
    said = longsim("whatif", small, "--set", "machine_overrides.tiers.nvlink.bytes_per_s=2x", "--json")
    before, after = (said.document[side]["metrics"] for side in ("before", "after"))
    assert after["bytes"] == before["bytes"]
    assert after["comm_s"] < before["comm_s"]


def test_whatif_replays_where_there_are_requests(longsim, small):
    said = longsim(
        "whatif", small, "--requests", "poisson:4", "--count", "5", "--prompt", "fixed:64", "--output", "fixed:8",
        "--set", "traffic.prompt_scale=+100%",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "traffic.prompt_scale: 1 → 2" in said.out
    assert "TTFT p99" in said.out
    assert "A request that is done takes" in said.out
    assert "One step of" not in said.out  # the step has not changed


def test_where_requests_spend_their_time_adds_up(longsim, small):
    words = ["--requests", "poisson:4", "--count", "5", "--set", "traffic.rate_scale=5", "--json"]
    for run in (longsim("whatif", small, *words).document[side] for side in ("before", "after")):
        assert sum(run["details"]["latency_parts_s"].values()) == pytest.approx(run["metrics"]["e2e_s"]["mean"])


def test_a_change_that_changes_nothing_is_a_fault(longsim, small):
    said = longsim("whatif", small, "--set", "schedule=sequential")
    assert said.code == 2
    assert "it changes nothing" in said.err


def test_what_cannot_run_any_more_says_why_with_its_own_exit_code(longsim, small):
    said = longsim("whatif", small, "--set", "batch.sequences_per_gpu=100000", "--set", "batch.context_tokens=1e6")
    assert said.code == 3
    assert "after cannot run: needs" in said.out


def test_options_of_requests_without_requests_are_a_fault(longsim, small):
    said = longsim("whatif", small, "--set", "seed=1", "--count", "3", "--slo", "ttft=1s")
    assert said.code == 2
    assert [line.partition(":")[0] for line in said.faults] == ["--count", "--slo"]
