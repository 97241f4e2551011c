"""A replay beside its run: the two requests of the toy run, worked by hand in conftest."""

import json
from dataclasses import replace

import pytest

from hw_profiles.faults import InputFaults
from simulator.report.serving_overlay import overlay_figure
from validation.serving.comparison import compare
from validation.serving.constants import Overhead, overhead
from validation.serving.engine_setup import engine_setup
from validation.serving.recorded_run import read_run
from validation.suites.serving import compare_runs, overlays, run_folders, serving_document


@pytest.fixture
def without_overhead(run_folder):
    run = read_run(run_folder)
    setup = engine_setup(run)
    bare = replace(setup.step_times, overhead=Overhead(prompt_step_s=0.0, long_decode_share=0.0))
    at_once = replace(setup.knobs, async_scheduling=False)  # the second request is in the step after its arrival
    return compare(run, replace(setup, step_times=bare, knobs=at_once))


def test_a_run_that_went_as_the_tables_say_is_met_to_the_microsecond(without_overhead):
    replayed = without_overhead.replayed.requests
    # the clocks of the files count from 1000 s: their sums keep about a tenth of a nanosecond
    assert replayed["first_token_s"].tolist() == pytest.approx([87e-6, 154e-6], abs=1e-9)
    assert replayed["end_s"].tolist() == pytest.approx([201e-6, 201e-6], abs=1e-9)
    assert all(abs(row["rel_error"]) < 1e-4 and row["ok"] for row in without_overhead.rows)


def test_statistics_are_of_requests_not_of_tokens(without_overhead):
    mean = {row["id"].split()[1]: row["reference"] for row in without_overhead.rows if row["id"].endswith("mean")}
    assert mean["ttft"] == pytest.approx((87e-6 + 104e-6) / 2, abs=1e-9)
    assert mean["tpot"] == pytest.approx((57e-6 + 47e-6) / 2, abs=1e-9)
    assert mean["latency"] == pytest.approx((201e-6 + 151e-6) / 2, abs=1e-9)


def test_a_missed_bar_is_a_missed_bar(run_folder):
    # steps with prompts are charged the fitted 5 ms, a hundred times what the toy run took
    document = serving_document(compare_runs([run_folder]))
    assert document["summary"]["n_ok"] < document["summary"]["n"] == 12
    assert {row["ok"] for row in document["rows"] if " ttft " in row["id"]} == {False}


def test_requests_that_only_the_recorded_engine_answered_are_said(run_folder):
    meta = json.loads((run_folder / "meta.json").read_text())
    meta["engine_kwargs"] |= {"num_gpu_blocks": 1, "block_size": 4}  # room for the second request alone
    (run_folder / "meta.json").write_text(json.dumps(meta))
    (said,) = serving_document(compare_runs([run_folder]))["skipped"]
    assert said["reason"] == "1 of 2 requests were not answered in the replay"


def test_steps_beyond_the_tables_are_said(run_folder):
    table = (run_folder / "tp1_dense.csv").read_text().replace(",100,", ",2,")  # measured up to two tokens
    (run_folder / "tp1_dense.csv").write_text(table)
    notes = serving_document(compare_runs([run_folder]))["notes"]
    # four steps, of 4, 1, 3 and 2 tokens: vLLM schedules asynchronously, the second request is seen one step later
    assert notes[-1]["text"] == "toy_run: 50.0% of the steps lie beyond the tables' tokens"


def test_the_overlay_draws_both_lines(run_folder):
    (overlay,) = overlays(compare_runs([run_folder]))
    drawn = overlay_figure(overlay, "running")
    assert [line.name for line in drawn.data] == ["replayed", "recorded"]
    assert list(drawn.data[1].y) == [2, 1]


def test_what_was_never_recorded_is_not_drawn(run_folder):
    (run_folder / "timeseries.csv").write_text("t,running,waiting,kv_cache_pct\n0.0001,2,0,0.0\n")
    (overlay,) = overlays(compare_runs([run_folder]))
    assert [line.name for line in overlay_figure(overlay, "kv_used_share").data] == ["replayed"]


def test_a_run_on_which_constants_were_fitted_says_so(run_folder):
    other = run_folder.rename(run_folder.parent / overhead().fitted_on)
    assert any("overheads fitted on this very run" in note for note in engine_setup(read_run(other)).notes)


def test_a_run_without_tables_of_its_degree_is_refused(run_folder):
    meta = json.loads((run_folder / "meta.json").read_text())
    meta["engine_kwargs"]["tensor_parallel_size"] = 2
    (run_folder / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(InputFaults, match="tensor_parallel_size 2"):
        engine_setup(read_run(run_folder))


@pytest.mark.parametrize(("key", "value"), [("tensor_parallel_size", "two"), ("data_parallel_size", 0)])
def test_a_degree_that_is_none_is_refused(run_folder, key, value):
    meta = json.loads((run_folder / "meta.json").read_text())
    meta["engine_kwargs"][key] = value
    (run_folder / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(InputFaults, match=key):
        engine_setup(read_run(run_folder))


def test_ranks_that_exchange_need_a_link(run_folder):
    meta = json.loads((run_folder / "meta.json").read_text())
    meta["engine_kwargs"]["tensor_parallel_size"] = 2
    (run_folder / "meta.json").write_text(json.dumps(meta))
    for path in run_folder.glob("tp1_*.csv"):
        path.rename(path.with_name(path.name.replace("tp1", "tp2")))
    run = read_run(run_folder)
    with pytest.raises(InputFaults, match="--machine"):
        engine_setup(run)
    assert engine_setup(run, machine="h100_sxm").step_times.link.source == "h100_sxm"


def test_data_parallel_dense_replicas_are_strangers_and_moe_ranks_one_replica(run_folder):
    meta = json.loads((run_folder / "meta.json").read_text())
    meta["engine_kwargs"]["data_parallel_size"] = 2
    (run_folder / "meta.json").write_text(json.dumps(meta))
    setup = engine_setup(read_run(run_folder))
    assert (setup.n_replicas, setup.n_groups) == (2, 1)
    (run_folder / "tp1_moe.csv").write_text("tokens,activated_experts,time_us\n1,1,1.0\n")
    setup = engine_setup(read_run(run_folder), machine="h100_sxm")
    assert (setup.n_replicas, setup.n_groups, setup.step_times.n_groups) == (1, 2, 2)


def test_runs_are_found_in_a_directory_of_them(run_folder):
    assert run_folders(run_folder.parent) == [run_folder]
    with pytest.raises(InputFaults, match="--run"):
        run_folders(run_folder)
