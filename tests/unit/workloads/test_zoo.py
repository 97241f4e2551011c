"""Parameters to the last weight, KV cache and FLOPs, against published shapes by hand."""

from dataclasses import replace

import pytest

from workloads.model import GqaSpec
from workloads.zoo import (
    ZOO,
    activated_parameters,
    attention_core_flops,
    attention_norms,
    attention_parameters,
    count_parameters,
    decode_flops_per_token,
    expert_parameters,
    kv_bytes_per_token,
    longcat_flash,
    tiny,
)


def test_longcat_flash_by_component():
    """docs: LongCat-Flash report, section 2.4; every product from config.json."""
    counts, model = count_parameters(longcat_flash()), longcat_flash()
    one_mla = 9_437_184 + 18_874_368 + 3_538_944 + 8_388_608 + 50_331_648  # q_a, q_b, kv_a, kv_b, o
    assert attention_parameters(model) == one_mla == 90_570_752
    assert attention_norms(model) == 1536 + 512
    assert counts.attention == 56 * one_mla
    assert counts.dense_ffn == 56 * 226_492_416
    assert expert_parameters(model) == 37_748_736
    assert counts.experts == 28 * 19_327_352_832
    assert counts.router == 28 * (4_718_592 + 768)
    assert counts.norms == 28 * (24_576 + 2 * 2048) + 6144
    assert counts.embedding == counts.lm_head == 131_072 * 6144
    assert (counts.shared_experts, counts.ngram) == (0, 0)


def test_longcat_flash_total_is_the_sum_of_its_layers_to_the_last_weight():
    mla = 6144 * 1536 + 1536 * 64 * 192 + 6144 * 576 + 512 * 64 * 256 + 64 * 128 * 6144 + 1536 + 512
    ffn, experts, router = 3 * 6144 * 12288, 512 * 3 * 6144 * 2048, 768 * 6144 + 768
    layer = 2 * mla + 2 * ffn + experts + router + 4 * 6144
    assert count_parameters(longcat_flash()).total == 28 * layer + 6144 + 2 * 131_072 * 6144


def test_deepseek_v3_to_the_last_weight():
    """671 B (arXiv 2412.19437): 3 dense layers, 58 MoE layers with one shared expert."""
    mla = 7168 * 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 * 128 * 256 + 128 * 128 * 7168 + 1536 + 512
    norms = 2 * 7168
    moe = 257 * 3 * 7168 * 2048 + 256 * 7168 + 256
    body = 61 * (mla + norms) + 3 * 3 * 7168 * 18432 + 58 * moe + 7168
    assert count_parameters(ZOO["deepseek_v3"]()).total == body + 2 * 129_280 * 7168


def test_mixtral_to_the_last_weight():
    """46,702,792,704 weights: the safetensors index of the release says 93,405,585,408 bytes of BF16."""
    assert count_parameters(ZOO["mixtral_8x7b"]()).total == 46_702_792_704
    assert 2 * 46_702_792_704 == 93_405_585_408


def test_qwen3_235b_to_the_last_weight():
    """235,093,634,560 weights: the model card's index of the release."""
    attention = 4096 * 64 * 128 * 2 + 4096 * 4 * 128 * 2 + 2 * 128
    layer = attention + 128 * 3 * 4096 * 1536 + 128 * 4096 + 2 * 4096
    total = 94 * layer + 4096 + 2 * 151_936 * 4096
    assert count_parameters(ZOO["qwen3_235b"]()).total == total == 235_093_634_560


@pytest.mark.parametrize(("name", "total_b", "tolerance"), [
    ("longcat_flash", 560.665, 1e-5), ("longcat_flash_lite", 68.55, 1e-3), ("longcat_2", 1638.0, 1e-3),
    ("deepseek_v3", 671.0, 1e-3), ("kimi_k2", 1027.0, 1e-3), ("qwen3_235b", 235.1, 1e-3),
    ("mixtral_8x7b", 46.7, 1e-3),
])  # fmt: skip
def test_totals_are_the_published_ones(name, total_b, tolerance):
    assert count_parameters(ZOO[name]()).total / 1e9 == pytest.approx(total_b, rel=tolerance)


@pytest.mark.parametrize(("name", "activated_b"), [
    ("longcat_flash", (18.694, 27.150, 31.377)), ("longcat_flash_lite", (2.921, 3.977, 4.506)),
    ("longcat_2", (33.06, 48.36, 56.01)),
])  # fmt: skip
def test_activated_parameters_of_none_the_mean_and_all_ffn_experts(name, activated_b):
    for k, published in zip((0, 8, 12), activated_b, strict=True):
        assert activated_parameters(ZOO[name](), k) / 1e9 == pytest.approx(published, rel=3e-4)


@pytest.mark.parametrize(("name", "bytes_per_token"), [
    ("longcat_flash", 64_512), ("deepseek_v3", 70_272), ("longcat_flash_lite", 32_256), ("longcat_2", 87_552),
    ("kimi_k2", 61 * 576 * 2), ("qwen3_235b", 94 * 2 * 4 * 128 * 2), ("mixtral_8x7b", 32 * 2 * 8 * 128 * 2),
])  # fmt: skip
def test_kv_bytes_of_one_token(name, bytes_per_token):
    model = ZOO[name]()
    assert kv_bytes_per_token(model, "bf16") * model.n_attentions == bytes_per_token


def test_kv_bytes_in_fp8():
    """512 latents + 4 scales of 4 B + 64 rope values in BF16 = 656 B; keys and values of GQA are a byte each."""
    assert kv_bytes_per_token(longcat_flash(), "fp8") == 656
    assert kv_bytes_per_token(ZOO["qwen3_235b"](), "fp8") == 2 * 4 * 128


def test_core_flops_of_one_query_on_one_cached_token():
    """Absorbed MLA: scores over 576, values over 512; decompressed: 192 and 128; GQA: 128 and 128. 2 FLOPs each."""
    assert attention_core_flops(longcat_flash(), absorbed=True) == 2 * 64 * (576 + 512)
    assert attention_core_flops(longcat_flash(), absorbed=False) == 2 * 64 * (192 + 128)
    assert attention_core_flops(ZOO["qwen3_235b"](), absorbed=True) == 2 * 64 * (128 + 128)


def test_decode_flops_are_two_per_matrix_weight_and_the_attention_over_the_context():
    model = tiny()
    a_mla = 64 * 32 + 32 * 4 * 12 + 64 * 20 + 16 * 4 * 16 + 4 * 8 * 64
    weights = 2 * (2 * a_mla + 2 * 3 * 64 * 128 + 12 * 64 + 2 * 3 * 64 * 32) + 256 * 64
    core = 2 * 4 * (16 + 4 + 16) * 100 * 4
    assert decode_flops_per_token(model, context_tokens=100, ffn_experts=2) == 2 * weights + core


def test_an_uncompressed_query_is_one_matrix():
    model = tiny()
    plain = replace(model, attention=replace(model.attention, q_lora_rank=0))
    assert attention_parameters(model) - attention_parameters(plain) == 64 * 32 + 32 * 4 * 12 - 64 * 4 * 12


def test_tied_embeddings_count_once_and_still_activate():
    model = replace(ZOO["mixtral_8x7b"](), tied_embeddings=True)
    assert count_parameters(model).total == 46_702_792_704 - 32_000 * 4096
    assert activated_parameters(model, 2) == activated_parameters(ZOO["mixtral_8x7b"](), 2)


def test_the_draft_head_of_longcat_is_dense_and_outside_the_total():
    """MLA, FFN, 2h -> h projection, 2 + 2 + 1 norms: 0.3926 B."""
    counts = count_parameters(longcat_flash())
    assert counts.mtp == 90_570_752 + 2048 + 226_492_416 + 2 * 6144**2 + 5 * 6144
    assert counts.mtp / 1e9 == pytest.approx(0.3926, abs=1e-4)


@pytest.mark.parametrize("name", ZOO)
def test_names_and_shapes_hang_together(name):
    model = ZOO[name]()
    assert model.name == name
    assert model.moe.top_k <= model.moe.n_routed_experts
    assert model.moe.n_zero_experts or model.moe.mean_ffn_experts == model.moe.top_k
    if isinstance(model.attention, GqaSpec):
        assert model.attention.n_heads % model.attention.n_kv_heads == 0


def test_the_scmoe_papers_gpt3_has_the_papers_size_without_its_shared_experts():
    """4.1 B in table 8, of the standard MoE: 24 attentions, 12 MLPs, 12 x 8 experts of 2 x 2048 x 8192, vocabulary."""
    model = ZOO["gpt3_moe_xl"]()
    counts, ffn = count_parameters(model), 2 * 2048 * 8192
    assert (counts.attention, counts.dense_ffn, counts.experts) == (24 * 4 * 2048**2, 24 * ffn, 12 * 8 * ffn)
    assert (counts.embedding, counts.lm_head) == (50257 * 2048, 0)
    assert (counts.total - 12 * ffn) / 1e9 == pytest.approx(4.1, abs=0.05)  # printed with one decimal


def test_the_scmoe_papers_gpt2_has_sixteen_experts_in_every_second_block():
    """Its shapes give 1.86 B without the shared experts; the paper prints 1.7 B, which they cannot."""
    counts, ffn = count_parameters(ZOO["gpt2_moe_medium"]()), 2 * 1024 * 4096
    assert (counts.dense_ffn, counts.experts) == (24 * ffn, 12 * 16 * ffn)
    assert counts.total - 12 * ffn == 24 * 4 * 1024**2 + 12 * ffn + 12 * 16 * (ffn + 1024) + 50257 * 1024 + 49 * 1024
