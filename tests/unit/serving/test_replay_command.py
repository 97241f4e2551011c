"""`longsim replay` on the command line."""

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

SMALL = 'model = "tiny"\nmachine = "h800_sxm"\nn_gpus = 8\nlayout = { ep = 8 }\n'
LENGTHS = ("--prompt", "fixed:300", "--output", "fixed:20")
TRAFFIC = ("--requests", "poisson:50", "--count", "60", *LENGTHS)


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def test_the_answer_as_json(longsim, small):
    said = longsim("replay", small, *TRAFFIC, "--json", "--slo", "ttft=2s,tpot=500ms")
    assert said.code == 0
    document = said.document
    assert document["metrics"]["n_done"] == 60
    assert document["metrics"]["verdict"] == "stable"
    assert document["slo"] == {"ttft_s": 2.0, "tpot_s": 0.5}
    assert document["serving"]["name"] == "vllm"
    assert document["serving"]["sources"]["max_num_seqs"]
    assert document["interpolation_error"]["worst"] <= 0.03


def test_the_answer_in_words(longsim, small):
    said = longsim("replay", small, *TRAFFIC)
    assert said.code == 0
    assert said.out.startswith("stable: 60 of 60 requests done")
    assert "TTFT" in said.out
    assert "interpolation error" in said.out


def test_the_tables_have_a_row_per_request(longsim, small, tmp_path):
    said = longsim("replay", small, *TRAFFIC, "--out", tmp_path / "tables", "--set", "serving.n_replicas=2")
    assert said.code == 0
    table = pd.read_csv(tmp_path / "tables" / "requests.csv")
    assert len(table) == 60
    assert sorted(table["replica"].unique()) == [0, 1]
    assert (table["state"] == "done").all()
    assert {"time_s", "waiting", "kv_used_share"} <= set(pd.read_csv(tmp_path / "tables" / "samples.csv").columns)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--slo", "ttft=fast"), "--slo: got 'ttft=fast'"),
        (("--slo", "e2e=2s"), "--slo"),
        (("--format", "xlsx"), "--format: got 'xlsx'"),
        (("--set", "serving.blocks=3"), "serving.blocks"),
        (("--requests", "poison:4"), "did you mean poisson"),
        (("--out", "/dev/null/x"), "--out"),
        (("--out", __file__), "which is no directory"),
        (("--until", "0"), "--until: got 0; allowed a number above 0"),
        (("--until", "nan"), "--until: got nan"),
        (("--count", "0"), "--count: got 0"),
        (("--rate-scale", "-1"), "--rate-scale: got -1"),
        (("--requests", ""), "--requests: got ''"),
        (("--slo", "ttft=2s,ttft=3s"), "--slo"),
        (("--set", "serving.backend=tgi"), "serving.backend: got 'tgi'"),
        (("--set", "serving.max_queue=-1"), "serving.max_queue: got -1; allowed 0 or more"),
        (("--prompt", "fixed:99999999999999999999"), "at most 2,147,483,647"),
    ],
)
def test_a_mistake_is_named_without_a_traceback(longsim, small, more, words):
    said = longsim("replay", small, *TRAFFIC, *more)
    assert said.code == 2
    assert words in said.err
    assert len(said.faults) == 1


def test_prompts_longer_than_the_cache_get_a_clear_answer(longsim, small):
    said = longsim("replay", small, *TRAFFIC, "--set", "serving.kv_blocks=19", "--json")
    assert said.code == 0
    assert said.document["metrics"]["n_rejected"] == 60
    reason = "60 requests were rejected; the first: 300 prompt and 20 output tokens exceed the KV room of 304 tokens"
    assert reason in said.document["warnings"]


def test_overload_is_a_verdict(longsim, small):
    """Sequences one at a time, far more requests than that can serve."""
    said = longsim("replay", small, *TRAFFIC, "--rate-scale", "1000", "--set", "serving.max_num_seqs=1", "--json")
    assert said.document["metrics"]["verdict"] == "overloaded"


def test_users_who_wait_for_answers(longsim, small):
    said = longsim("replay", small, *TRAFFIC, "--requests", "users:4,think=0.5", "--until", "100", "--json")
    assert said.document["metrics"]["n_done"] == 60


def test_until_alone_takes_all_that_come_before_it(longsim, small):
    said = longsim("replay", small, *LENGTHS, "--requests", "constant:100", "--until", "12", "--json")
    assert said.document["metrics"]["n_requests"] == 1200


def test_an_overload_may_end_early(longsim, small):
    said = longsim(
        "replay", small, *TRAFFIC, "--count", "2000", "--rate-scale", "1000", "--set", "serving.max_num_seqs=1",
        "--stop-overloaded", "--json",
    )  # fmt: skip
    assert said.code == 0
    assert said.document["stopped"] == said.document["metrics"]["verdict"] == "overloaded"
    assert said.document["metrics"]["n_requests"] == 256


def test_no_partial_table_is_left_once_the_whole_one_stands(longsim, small, tmp_path):
    longsim("replay", small, *TRAFFIC, "--out", tmp_path / "tables")
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == ["requests.csv", "samples.csv"]


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs the extra parquet")
def test_tables_in_parquet(longsim, small, tmp_path):
    said = longsim("replay", small, *TRAFFIC, "--out", tmp_path, "--format", "parquet")
    assert said.code == 0
    table = pd.read_parquet(tmp_path / "requests.parquet")
    assert len(table) == 60
    assert table["arrival_s"].is_monotonic_increasing


@pytest.mark.skipif(find_spec("pyarrow") is not None, reason="pyarrow is there")
def test_without_pyarrow_it_says_what_to_install(longsim, small, tmp_path):
    said = longsim("replay", small, *TRAFFIC, "--out", tmp_path, "--format", "parquet")
    assert said.code == 2
    assert said.faults == [
        "--format: got 'parquet', without pyarrow; allowed csv; run: pip install 'longsim[parquet]'"
    ]  # fmt: skip


@pytest.fixture
def endless(small, tmp_path):
    """A replay that would take hours, in a process of its own that has begun to write what ended."""
    root, folder = Path(__file__).parents[3], tmp_path / "tables"
    process = subprocess.Popen(
        [sys.executable, root / "longsim.py", "replay", small, "--requests", "users:50,think=1", "--count", "100000000",
         "--out", folder, "--progress"],
        env={**os.environ, "PYTHONPATH": str(root)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    partial = folder / "requests.partial.csv"
    while not (partial.exists() and partial.read_text().count("\n") > 50):
        time.sleep(0.1)
        assert process.poll() is None
    yield process, folder
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_ctrl_c_leaves_the_metrics_and_tables_of_what_has_run(endless):
    process, folder = endless
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: this is of what has run so far" in out
    assert "requests ended" in said
    assert "per second" in said
    assert "left" in said
    table = pd.read_csv(folder / "requests.csv")
    assert (table["state"] == "done").sum() >= 50
    assert not (folder / "requests.partial.csv").exists()


@pytest.mark.slow
def test_a_kill_leaves_the_requests_that_had_ended(endless):
    process, folder = endless
    process.kill()
    process.communicate()
    table = pd.read_csv(folder / "requests.partial.csv")
    assert (table["state"] == "done").all()
    assert (table["end_s"] > table["arrival_s"]).all()


MOVING = ("layout.expert_placement=eplb", "layout.placement_loads=window:1", "layout.rebalance_every_steps=30")


def settings(*pairs):
    return [word for pair in pairs for word in ("--set", pair)]


def test_experts_that_are_placed_anew_and_routing_that_is_drawn_stand_in_the_answer(longsim, small):
    said = longsim("replay", small, *TRAFFIC, "--json", *settings(*MOVING, "serving.routing_noise=sample"))
    assert said.code == 0
    metrics, serving = said.document["metrics"], said.document["serving"]
    moves, noise = metrics["rebalancing"]["replicas"], metrics["routing_noise"]["replicas"]
    assert moves["n"] == (metrics["n_steps"] - 1) // 30 > 0
    assert moves["seconds"] == pytest.approx(moves["n"] * moves["each_s"])
    assert noise["n_draws"] == 4
    assert noise["error"]["n_steps"] > 0
    assert (serving["routing_noise"], serving["rebalance_spread"]) == ("sample", 1)


def test_without_either_the_answer_says_nothing_of_them(longsim, small):
    metrics = longsim("replay", small, *TRAFFIC, "--json").document["metrics"]
    assert not {"rebalancing", "routing_noise"} & set(metrics)


@pytest.mark.parametrize(("bad", "words"), [
    (["serving.routing_noise=loud"], "serving.routing_noise: got 'loud'"),
    (["serving.routing_noise=mean", "routing.draw=sample"], "serving.routing_noise: got 'mean' with routing.draw"),
    (["serving.rebalance_spread=2"], "serving.rebalance_spread: got 2; allowed 1 where experts keep"),
    ([*MOVING, "serving.rebalance_spread=31"], "serving.rebalance_spread: got 31; allowed 1 to 30"),
    ([*MOVING, "serving.rebalance_spread=half"], "serving.rebalance_spread: got 'half'"),
])  # fmt: skip
def test_surcharges_that_are_none_are_named(longsim, small, bad, words):
    said = longsim("replay", small, *TRAFFIC, *settings(*bad))
    assert said.code == 2
    assert words in said.err
