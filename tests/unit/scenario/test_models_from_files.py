"""Scenarios whose model is a Hugging Face config, among them dense ones, and layouts inside part of a node."""

import json

import pytest
import unit.workloads.released_configs as released

from hw_profiles.faults import InputFaults
from simulator.evaluate import evaluate
from simulator.scenario import build_scenario

LAYOUT = {"attention_tp": 2, "dense_tp": 2}
BATCH = {"sequences_per_gpu": 16, "context_tokens": 2000}


def write(folder, config, name="Llama-3.1-8B"):
    home = folder / name
    home.mkdir()
    (home / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(home)


def scenario(model, **changes):
    return build_scenario(
        {"model": model, "machine": "h100_sxm", "n_gpus": 2, "layout": LAYOUT, "batch": BATCH, **changes}
    )


@pytest.mark.parametrize("schedule", ["sequential", "tbo", "tbo_phased"])
@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_a_dense_model_runs_without_experts_or_all_to_alls(tmp_path, schedule, phase):
    batch = {**BATCH, "prompt_tokens": 256 if phase == "prefill" else 0}
    answer = evaluate(scenario(write(tmp_path, released.LLAMA_3_1_8B), schedule=schedule, phase=phase, batch=batch))
    kinds = {row["kind"] for row in answer.kinds}
    assert answer.feasible
    assert kinds == {"embedding", "norm", "attention", "attention_tp", "dense_ffn", "dense_tp", "lm_head", "sampling"}


def test_decode_of_a_dense_model_reads_its_weights_and_cache_once(tmp_path):
    answer = evaluate(scenario(write(tmp_path, released.LLAMA_3_1_8B), run={"contention": False}))
    dense = next(row for row in answer.kinds if row["kind"] == "dense_ffn")
    ffn_bytes = 3 * 4096 * 14336 * 32 / 2 * (1 + 4 / 128**2)  # FP8 with a scale per block, half on each rank
    hbm_bytes_per_s = scenario("tiny", layout={}).profile.device.hbm_bytes_per_s
    assert dense["busy_s"] > ffn_bytes / hbm_bytes_per_s


@pytest.mark.parametrize("draw", ["mean", "sample"])
@pytest.mark.parametrize("popularity", ["balanced", "power_law:1.01"])
def test_routing_keys_change_nothing_for_a_dense_model(tmp_path, draw, popularity):
    model = write(tmp_path, released.LLAMA_3_1_8B)
    plain = evaluate(scenario(model)).metrics
    assert evaluate(scenario(model, routing={"draw": draw, "popularity": popularity})).metrics == plain


def test_a_dense_model_has_nothing_to_spread(tmp_path):
    with pytest.raises(InputFaults) as caught:
        scenario(write(tmp_path, released.LLAMA_3_1_8B), layout={"ep": 2})
    assert str(caught.value) == (
        "layout.ep: got 2; allowed 1 (Llama-3.1-8B has no experts); split it with attention_tp, dense_tp"
    )


def test_a_dense_model_has_no_shortcut_to_hide_behind(tmp_path):
    with pytest.raises(InputFaults, match=r"tbo_phased \(Llama-3\.1-8B has no shortcut\)"):
        scenario(write(tmp_path, released.LLAMA_3_1_8B), schedule="sbo")


def test_a_config_equal_to_a_model_of_the_zoo_gives_its_answer(tmp_path):
    layout = {"ep": 16}
    from_zoo = scenario("kimi_k2", n_gpus=16, machine="h200_sxm", layout=layout)
    from_file = scenario(write(tmp_path, released.KIMI_K2, "K2"), n_gpus=16, machine="h200_sxm", layout=layout)
    assert evaluate(from_file).metrics == evaluate(from_zoo).metrics


def test_overrides_apply_to_a_model_from_a_file(tmp_path):
    model = scenario(write(tmp_path, released.LLAMA_3_1_8B), model_overrides={"n_layers": 4}).model_spec
    assert (model.n_layers, model.name) == (4, "Llama-3.1-8B")


def test_sparse_attention_reads_no_more_for_a_longer_context_and_scores_more(tmp_path):
    config = write(tmp_path, released.GLM_5, "GLM-5")
    short, long = (
        {kind.kind: kind.hbm_bytes_max for kind in evaluate(scenario(
            config, n_gpus=32, machine="h200_sxm", layout={"ep": 32},
            batch={"sequences_per_gpu": 1, "context_tokens": context})).amounts}
        for context in (4096, 8192)
    )  # fmt: skip
    assert long["attention"] == short["attention"]
    assert long["indexer"] > short["indexer"]


def test_every_fault_of_a_config_is_a_fault_of_the_scenario(tmp_path):
    config = {**released.LLAMA_3_1_8B, "vocab_size": None, "num_hidden_layers": -1}
    with pytest.raises(InputFaults) as caught:
        scenario(write(tmp_path, config))
    assert [fault.field for fault in caught.value.faults] == ["num_hidden_layers", "vocab_size"]


@pytest.mark.parametrize("model", ["nowhere/config.json", "config.json", "./nowhere", "x" * 5000 + "/config.json"])
def test_a_path_where_nothing_is_is_refused(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputFaults, match=r"where no file is; allowed a config\.json, its directory, or one of "):
        scenario(model)


def test_a_word_that_is_no_model_is_answered_with_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputFaults, match="did you mean 'longcat_flash'"):
        scenario("longcat_flsh")
