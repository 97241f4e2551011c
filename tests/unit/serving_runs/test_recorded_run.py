"""Recorded runs: read on one clock, and every fault of their files said at once."""

import json

import pytest

from hw_profiles.faults import InputFaults
from validation.serving.peer import peer_errors
from validation.serving.recorded_run import read_run
from validation.serving.served_model import served_model


def test_times_count_from_the_first_arrival(run_folder):
    table = read_run(run_folder).requests
    assert table["arrival_s"].tolist() == pytest.approx([0.0, 50e-6], abs=1e-9)
    assert table["first_token_s"].tolist() == pytest.approx([87e-6, 154e-6], abs=1e-9)
    assert table["end_s"].tolist() == pytest.approx([201e-6, 201e-6], abs=1e-9)


def test_the_least_gap_from_arrival_to_queue_is_the_difference_of_the_clocks(run_folder):
    path = run_folder / "requests.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[1]["queued_ts"] += 30e-6  # the engine looked later; the request had arrived all the same
    path.write_text("\n".join(map(json.dumps, rows)))
    assert read_run(run_folder).requests["arrival_s"].tolist() == pytest.approx([0.0, 50e-6], abs=1e-9)


def test_traffic_is_in_the_order_of_the_queue_and_never_goes_back(run_folder):
    path = run_folder / "requests.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["arrival_time"] += 60e-6  # queued first though it arrived last: it arrived no later than the second
    path.write_text("\n".join(map(json.dumps, reversed(rows))))
    traffic = read_run(run_folder).traffic()
    assert traffic.prompt_tokens_N.tolist() == [4, 2]
    assert (traffic.arrival_s_N[1:] >= traffic.arrival_s_N[:-1]).all()


def test_the_engine_s_series_is_read_in_shares(run_folder):
    assert read_run(run_folder).series["kv_used_share"].tolist() == [0.5, 0.25]


def test_a_run_without_a_series_is_read(run_folder):
    (run_folder / "timeseries.csv").unlink()
    assert read_run(run_folder).series.empty


@pytest.mark.parametrize("key", ["num_gpu_blocks", "num_gpu_blocks_override", "kv_blocks"])
def test_blocks_that_the_run_states_are_taken(run_folder, key):
    meta = json.loads((run_folder / "meta.json").read_text())
    (run_folder / "meta.json").write_text(json.dumps(meta | {key: 77}))
    assert read_run(run_folder).kv_blocks == 77


BROKEN = {
    "no JSON in meta": ("meta.json", "{", "meta.json"),
    "no model": ("meta.json", '{"vllm_version": "1", "engine_kwargs": {}}', "no model"),
    "arguments of a kind": ("meta.json", '{"model": "m", "vllm_version": "1", "engine_kwargs": 3}', "engine_kwargs 3"),
    "a line that is no JSON": ("requests.jsonl", "{}\n{", "requests.jsonl:2"),
    "a line without tokens": ("requests.jsonl", '{"input_toks": 3}', "output_toks"),
    "no line": ("requests.jsonl", "", "no request"),
    "a series without columns": ("timeseries.csv", "t\n1\n", "no running"),
    "a series of words": ("timeseries.csv", "t,running,waiting,kv_cache_pct\n1,some,0,0\n", "no number"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_run_is_named(run_folder, fault):
    name, text, said = BROKEN[fault]
    (run_folder / name).write_text(text)
    with pytest.raises(InputFaults) as caught:
        read_run(run_folder)
    assert said in str(caught.value)


def test_times_out_of_order_are_refused_with_their_line(run_folder):
    path = run_folder / "requests.jsonl"
    first, second = path.read_text().splitlines()
    path.write_text("\n".join([first, json.dumps(json.loads(second) | {"first_token_ts": 0.0})]))
    with pytest.raises(InputFaults, match=r"requests\.jsonl:2"):
        read_run(run_folder)


def test_all_broken_files_of_a_run_are_named_at_once(run_folder):
    for name in ("meta.json", "requests.jsonl"):
        (run_folder / name).unlink()
    with pytest.raises(InputFaults) as caught:
        read_run(run_folder)
    assert len(caught.value.faults) == 2


def test_models_are_known_by_name_or_by_their_config(run_folder):
    assert served_model("toy", run_folder).n_layers == 2
    (run_folder / "config.json").unlink()
    assert served_model("Qwen/Qwen3-32B", run_folder).n_layers == 64
    assert served_model("meta-llama/Llama-3.1-8B-Instruct", run_folder).n_layers == 32
    with pytest.raises(InputFaults, match="did you mean 'Qwen/Qwen3-32B'"):
        served_model("Qwen/Qwen3-32", run_folder)


def test_the_peer_s_errors_are_read_where_they_lie(run_folder):
    assert peer_errors(run_folder) == {}
    (run_folder / "peer_summary.txt").write_text("TTFT Mean  70.2  68.7  -4.0%\nLatency Median  2.6  2.8  +1.2%\n")
    assert peer_errors(run_folder) == {("ttft", "mean"): -0.04, ("latency", "p50"): 0.012}
