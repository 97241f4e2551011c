"""`longsim replay` on the command line."""

import pandas as pd
import pytest

SMALL = 'model = "tiny"\nmachine = "h800_sxm"\nn_gpus = 8\nlayout = { ep = 8 }\n'
TRAFFIC = ("--requests", "poisson:50", "--count", "60", "--prompt", "fixed:300", "--output", "fixed:20")


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
    ],
)
def test_a_mistake_is_named_without_a_traceback(longsim, small, more, words):
    said = longsim("replay", small, *TRAFFIC, *more)
    assert said.code == 2
    assert words in said.err


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
