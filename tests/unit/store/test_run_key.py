from dataclasses import replace

import pytest

from simulator.question import load_question
from simulator.run_key import run_key
from workloads.hf_config import CONFIG_FILE
from workloads.replayed import trace_path

CONFIG = """{"model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "hidden_size": 256,
"num_hidden_layers": 2, "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
"vocab_size": 1000,
"num_local_experts": 8, "num_experts_per_tok": 2, "hidden_act": "silu", "tie_word_embeddings": false}"""
POISSON = {"requests": "poisson:4", "count": 5}


def key_of(small, *settings, traffic=None):
    return run_key(load_question(small, settings, traffic=traffic))


def test_what_a_scenario_is_called_is_not_in_its_key(small):
    assert key_of(small) == key_of(small, "name=other", "title=Another")


def test_a_default_that_is_written_out_is_not_in_its_key(small):
    assert key_of(small) == key_of(small, "schedule=sequential", "seed=0")


@pytest.mark.parametrize("setting", ["seed=1", "batch.context_tokens=17", "schedule=sbo", "machine=h200_sxm",
                                     "machine_overrides.tiers.nic.bytes_per_s=1e9", "run.costs=fitted",
                                     "prefill_pool={n_gpus=16}"])  # fmt: skip
def test_every_value_that_decides_is_in_its_key(small, setting):
    assert key_of(small) != key_of(small, setting)


def test_traffic_is_in_its_key(small):
    keys = [key_of(small), key_of(small, traffic=POISSON), key_of(small, "traffic.prompt_scale=2", traffic=POISSON)]
    assert len(set(keys)) == 3


def test_a_model_from_a_file_counts_by_its_content_wherever_it_lies(small, tmp_path):
    keys = []
    for folder, text in (
        ("a", CONFIG),
        ("b", CONFIG),
        ("c", CONFIG.replace('"num_hidden_layers": 2', '"num_hidden_layers": 3')),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / CONFIG_FILE).write_text(text)
        keys.append(key_of(small, f'model="{tmp_path / folder}"'))
    assert keys[0] == keys[1] != keys[2]


def test_a_shipped_trace_counts_by_its_content_under_its_name_or_its_path():
    by_name, by_path, another = (
        run_key(load_question("training-laws-decode-h800x16", [f"routing.popularity=trace:{trace}"]))
        for trace in ("budget-free", trace_path("budget-free"), "budget-controlled")
    )
    assert by_name == by_path != another


def test_counted_popularity_counts_by_the_content_of_its_file(small, tmp_path):
    keys = []
    for name, first in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).write_text(" ".join([str(first), *["1"] * 15]))
        keys.append(key_of(small, f'routing.popularity="counts:{tmp_path / name}"'))
    assert keys[0] == keys[1] != keys[2]


def test_a_file_of_requests_that_changes_is_another_question(small, tmp_path):
    path = tmp_path / "requests.csv"
    path.write_text("arrival_s,prompt_tokens,output_tokens\n0,100,10\n")
    before = key_of(small, traffic={"requests": str(path)})
    path.write_text("arrival_s,prompt_tokens,output_tokens\n0,100,11\n")
    assert key_of(small, traffic={"requests": str(path)}) != before


def test_the_code_is_in_the_key(small, monkeypatch):
    before = key_of(small)
    monkeypatch.setattr("simulator.run_key.code_version", lambda: "another")
    assert key_of(small) != before


def test_a_key_survives_pickling_and_renaming(small):
    question = load_question(small)
    assert run_key(replace(question, scenario=replace(question.scenario, name="x"))) == run_key(question)
