"""Models from Hugging Face configs: the published totals to the last weight, and every fault of a file at once."""

import json
from dataclasses import replace

import pytest
import unit.workloads.released_configs as released

from hw_profiles.faults import InputFaults
from workloads import zoo
from workloads.hf_config import ARCHITECTURES, FAMILIES, model_from_config
from workloads.model import NO_EXPERTS, IndexerSpec, MtpSpec, NgramSpec
from workloads.zoo import activated_parameters, count_parameters, kv_bytes_per_token

ZOO_TWINS = [
    (released.DEEPSEEK_V3, zoo.deepseek_v3()),
    (released.KIMI_K2, zoo.kimi_k2()),
    (released.LONGCAT_FLASH, zoo.longcat_flash()),
    (released.LONGCAT_FLASH_LITE, zoo.longcat_flash_lite()),
    (released.LONGCAT_2, zoo.longcat_2()),
    (released.QWEN3_235B, zoo.qwen3_235b()),
    (released.MIXTRAL_8X7B, zoo.mixtral_8x7b()),
]


@pytest.mark.parametrize(("config", "model"), ZOO_TWINS, ids=[model.name for _, model in ZOO_TWINS])
def test_a_config_gives_the_model_of_the_zoo(config, model):
    assert replace(model_from_config(config), name=model.name, title=model.title) == model


# Number of elements in the released safetensors files, as their Hugging Face pages state it.
EXACT = [
    (released.LLAMA_3_1_8B, 8_030_261_248),
    (released.LLAMA_3_1_70B, 70_553_706_496),
    (released.LLAMA_2_7B, 6_738_415_616),
    (released.QWEN3_32B, 32_762_123_264),
    (released.QWEN3_0_6B, 596_049_920),  # the LM head is the embedding
    (released.QWEN3_235B, 235_093_634_560),
    (released.MIXTRAL_8X7B, 46_702_792_704),
    (released.DEEPSEEK_V3, 671_026_419_200),  # main model, 671 B (arXiv 2412.19437, section 4.2)
]


@pytest.mark.parametrize(("config", "total"), EXACT)
def test_the_total_is_that_of_the_release_to_the_last_weight(config, total):
    assert count_parameters(model_from_config(config)).total == total


# (config, total B, activated B) as published to so many digits; half a unit of the last one decides.
PUBLISHED = [
    (released.KIMI_K2, 1026, 32),  # "1T total, 32B activated" (model card); 1.026 T elements of its BF16 copies
    (released.LONGCAT_FLASH, 560.7, 27),  # 560 B, 27 B on average (arXiv 2509.01322, section 2.4; longer by arithmetic)
    (released.GLM_4_5_AIR, 107, 13),  # 106 B, 12 B (arXiv 2508.06471, table 1, truncated)
    (released.GLM_5, 744, 40),  # 744 B, of which 0.7 B are indexers, 40 B (model card)
]


@pytest.mark.parametrize(("config", "total_b", "activated_b"), PUBLISHED)
def test_totals_and_activated_parameters_are_as_published(config, total_b, activated_b):
    model = model_from_config(config)
    assert count_parameters(model).total / 1e9 == pytest.approx(total_b, abs=0.5)
    assert activated_parameters(model, model.moe.mean_ffn_experts) / 1e9 == pytest.approx(activated_b, abs=0.5)


def test_glm_4_5_has_355_b_with_its_draft_head_and_without_vocabulary():
    counts = count_parameters(model_from_config(released.GLM_4_5))  # the rule of arXiv 2508.06471, table 1
    assert (counts.total - counts.embedding - counts.lm_head + counts.mtp) / 1e9 == pytest.approx(355, abs=0.5)


def test_a_biased_attention_has_one_bias_per_output_of_its_projections():
    plain = model_from_config({**released.GLM_4_5_AIR, "attention_bias": False})
    biased = model_from_config(released.GLM_4_5_AIR)
    more = count_parameters(biased).attention - count_parameters(plain).attention
    assert more == 46 * (96 + 8 + 8) * 128  # queries, keys, values; GLM's output projection has none
    llama = {**released.LLAMA_3_1_8B, "attention_bias": True}
    more = count_parameters(model_from_config(llama)).attention
    more -= count_parameters(model_from_config(released.LLAMA_3_1_8B)).attention
    assert more == 32 * ((32 + 8 + 8) * 128 + 4096)


def test_biases_cost_no_matrix_flops():
    flops = [
        zoo.decode_flops_per_token(model_from_config({**released.GLM_4_5_AIR, "attention_bias": bias}),
                                   context_tokens=1000, ffn_experts=8)
        for bias in (True, False)
    ]  # fmt: skip
    assert flops[0] == flops[1]


def test_keys_and_values_are_cached_per_key_value_head():
    assert kv_bytes_per_token(model_from_config(released.LLAMA_3_1_8B), "bf16") == 2 * 2 * 8 * 128
    assert kv_bytes_per_token(model_from_config(released.LLAMA_2_7B), "bf16") == 2 * 2 * 32 * 128
    assert kv_bytes_per_token(model_from_config(released.GLM_5), "bf16") == 2 * (512 + 64)


def test_a_dense_model_has_no_experts_and_a_dense_ffn_in_every_layer():
    model = model_from_config(released.QWEN3_32B)
    assert (model.block, model.moe, zoo.n_moe_layers(model), zoo.n_dense_ffns(model)) == ("dense", NO_EXPERTS, 0, 64)


def test_fewer_layers_than_leading_dense_ones_leave_no_moe_layer():
    model = replace(zoo.deepseek_v3(), n_layers=2)
    assert (zoo.n_moe_layers(model), zoo.n_dense_ffns(model)) == (0, 2)


def test_the_indexer_of_sparse_attention_is_read():
    assert model_from_config(released.GLM_5).indexer == IndexerSpec(n_heads=32, head_dim=128, top_k=2048)
    assert model_from_config(released.DEEPSEEK_V3).indexer is None


def test_an_indexer_that_three_attentions_share_is_refused():
    with pytest.raises(InputFaults, match="cli_factor: got 3; allowed 1, 2; "):
        model_from_config({**released.LONGCAT_2, "cli_factor": 3})


def test_null_is_an_uncompressed_query_and_a_missing_rank_a_fault():
    assert model_from_config({**released.DEEPSEEK_V3, "q_lora_rank": None}).attention.q_lora_rank == 0
    with pytest.raises(ValueError, match=r"^q_lora_rank: got nothing"):
        model_from_config({key: value for key, value in released.DEEPSEEK_V3.items() if key != "q_lora_rank"})


def test_longcat_names_draft_heads_and_ngram_tables_in_older_and_newer_words():
    model = model_from_config(released.LONGCAT_2)
    assert model.mtp == MtpSpec(n_layers=3, ffn="dense")
    assert model.ngram == NgramSpec(ratio=100.567, n_neighbours=5, n_splits=4)


def test_the_architecture_decides_where_the_model_type_does_not():
    config = {**released.LLAMA_3_1_8B, "model_type": None}
    assert model_from_config(config) == model_from_config(released.LLAMA_3_1_8B)
    assert set(ARCHITECTURES.values()) <= set(FAMILIES)


def test_an_unknown_architecture_is_refused_with_the_list():
    with pytest.raises(ValueError, match=r"^model_type: got") as caught:
        model_from_config({"model_type": "mamba", "architectures": ["MambaForCausalLM"]})
    assert str(caught.value) == (
        "model_type: got 'mamba' (MambaForCausalLM); allowed deepseek_v3, deepseek_v32, glm4_moe, glm_moe_dsa, "
        "kimi_k2, llama, longcat_flash, longcat_flash_ngram, mixtral, qwen3, qwen3_moe; use a config of one of these "
        "families, or model_overrides on a model of the zoo"
    )


def test_every_fault_of_a_config_is_named_at_once():
    config = {**released.LLAMA_3_1_8B, "hidden_size": "4096", "num_hidden_layers": 0, "mlp_bias": True}
    del config["vocab_size"]
    with pytest.raises(ValueError, match="mlp_bias") as caught:
        model_from_config(config)
    assert str(caught.value).splitlines() == [
        "mlp_bias: got True; allowed False; biases of the FFN are not modelled",
        "hidden_size: got '4096'; allowed a whole number, at least 1; copy it from the released config.json",
        "num_hidden_layers: got 0; allowed a whole number, at least 1; copy it from the released config.json",
        "vocab_size: got nothing; allowed a whole number, at least 1; add it",
    ]


@pytest.mark.parametrize(
    ("config", "key", "value"),
    [
        (released.DEEPSEEK_V3, "attention_bias", True),
        (released.DEEPSEEK_V3, "moe_layer_freq", 2),
        (released.DEEPSEEK_V3, "topk_method", "greedy"),
        (released.LONGCAT_FLASH, "zero_expert_type", "drop"),
        (released.LONGCAT_FLASH, "attention_method", "MHA"),
        (released.LONGCAT_FLASH_LITE, "ngram_vocab_size_ratio", -1),
        (released.LONGCAT_FLASH_LITE, "emb_neighbor_num", 1),
        (released.QWEN3_235B, "mlp_only_layers", [3]),
        (released.QWEN3_32B, "use_sliding_window", True),
        (released.MIXTRAL_8X7B, "sliding_window", 4096),
        (released.QWEN3_32B, "tie_word_embeddings", "no"),
        (released.QWEN3_32B, "num_key_value_heads", None),
    ],
)
def test_what_cannot_be_counted_is_refused(config, key, value):
    with pytest.raises(ValueError, match=f"^{key}: got "):
        model_from_config({**config, key: value})


def test_a_file_and_its_directory_give_the_same_model_named_after_the_directory(tmp_path):
    home = tmp_path / "Llama-3.1-8B"
    home.mkdir()
    (home / "config.json").write_text(json.dumps(released.LLAMA_3_1_8B), encoding="utf-8")
    assert model_from_config(home) == model_from_config(str(home / "config.json"))
    assert model_from_config(home).name == "Llama-3.1-8B"


@pytest.mark.parametrize("text", ["", "[1]", "{", "\x00"])
def test_a_file_that_is_no_json_object_is_refused(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"allowed a readable config\.json with a JSON object; check the file$"):
        model_from_config(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="No such file"):
        model_from_config(tmp_path)
