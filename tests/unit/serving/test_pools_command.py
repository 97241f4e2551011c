"""`longsim replay` on pools and with failures, on the command line."""

import pytest

POOLS = """model = "tiny"
machine = "h800_sxm"
n_gpus = 8
layout = { ep = 8 }
serving = { n_replicas = 2, router = "least_loaded" }
[prefill_pool]
n_gpus = 4
layout = { ep = 4 }
serving = { n_replicas = 3 }
[failures]
events = [{ at_s = 0.3, kind = "device", replica = 1 }, { at_s = 0.4, kind = "nic", pool = "prefill" }]
mtbf_hours = { node = 50.0 }
detection_s = 0.2
restart_s = 0.3
repair_s = 0.2
"""
TRAFFIC = ("--requests", "poisson:50", "--count", "100", "--prompt", "fixed:300", "--output", "fixed:20")


@pytest.fixture
def pools(tmp_path):
    path = tmp_path / "pools.toml"
    path.write_text(POOLS)
    return path


def test_the_answer_names_both_pools_and_what_broke(longsim, pools, tmp_path):
    report = tmp_path / "pools.html"
    said = longsim("replay", pools, *TRAFFIC, "--json", "--slo", "ttft=1s", "--report", report)
    assert said.code == 0
    metrics = said.document["metrics"]
    assert metrics["n_done"] == 100
    assert {name: pool["n_gpus"] for name, pool in metrics["pools"].items()} == {"prefill": 12, "decode": 16}
    assert metrics["kv_transfer"]["n"] >= 100
    assert metrics["failures"]["by_kind"] == {"device": 1, "nic": 1}
    assert 0.0 < metrics["failures"]["availability"] < 1.0
    assert metrics["failures"]["goodput_lost"] >= 0.0
    assert set(metrics["failures"]["spares"]) == {"prefill", "decode"}
    assert said.document["prefill_pool"]["reserved_output_share"] == 0.0
    assert "caches: " in report.read_text()


def test_the_answer_in_words(longsim, pools):
    said = longsim("replay", pools, *TRAFFIC)
    assert said.code == 0
    for words in ("prefill on 3 ×", "decode on 2 ×", "caches: ", "failures: 2 (1 device, 1 nic)", "spare ones: "):
        assert words in said.out


def test_a_decode_pool_that_is_too_small_is_named(longsim, pools):
    said = longsim(
        "replay", pools, "--requests", "poisson:400", "--count", "3000", "--prompt", "fixed:16", "--output",
        "fixed:400", "--set", "failures.events=[]", "--set", "failures.mtbf_hours.node=0",
        "--set", "serving.max_num_seqs=1", "--set", "serving.n_replicas=1",
    )  # fmt: skip
    assert said.code == 0
    assert said.out.startswith("overloaded")
    assert "the pools are out of proportion or too small" in said.out
    assert "give decode more GPUs" in said.out


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("prefill_pool.n_gpu=4", "prefill_pool.n_gpu: got 'n_gpu'"),
        ("prefill_pool.layout.ep=3", "prefill_pool.layout.ep: got 3"),
        ("prefill_pool.serving.n_replicas=0", "prefill_pool.serving.n_replicas: got 0"),
        ("prefill_pool.precision.kv=fp8", "prefill_pool.precision.kv: got 'fp8'"),
        ("prefill_pool.title=x", "prefill_pool.title: got a key of the whole scenario"),
        ("kv_transfer.bytes_per_s=-1", "kv_transfer.bytes_per_s: got -1"),
        ("failures.events=[{at_s=1.0, kind='gpu'}]", "failures.events.0.kind: got 'gpu'"),
        ("failures.events=[{at_s=1.0, kind='nic', replica=7}]", "failures.events[0].replica: got 7"),
        ("failures.detection_s=-2", "failures.detection_s: got -2"),
        ("failures.availability_target=1", "failures.availability_target: got 1"),
    ],
)
def test_what_no_deployment_can_be(longsim, pools, setting, words):
    said = longsim("replay", pools, *TRAFFIC, "--set", setting)
    assert said.code == 2
    assert words in said.err


def test_a_failure_after_the_end_is_said_not_to_have_happened(longsim, pools):
    said = longsim("replay", pools, *TRAFFIC, "--set", "failures.events=[{at_s=1000.0, kind='node'}]")
    assert "failures.events[0]: at 1000 s, when the run had ended" in said.out
    said = longsim("replay", pools, *TRAFFIC, "--until", "1", "--set", "failures.events=[{at_s=2.0, kind='node'}]")
    assert said.code == 2
    assert "failures.events[0].at_s: got 2; allowed below --until 1" in said.err
