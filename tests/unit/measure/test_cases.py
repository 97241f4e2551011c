"""What the suites measure: every op once, with the amounts of the arithmetic, on the real modules."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the suites time torch")

from hw_profiles.faults import InputFaults
from validation.measure.case import COLD_BYTES, Lab, Sizes, cold
from validation.measure.feed_forward import load_of
from validation.measure.layers import SteadyCache, layer_cases
from validation.measure.ranks import Ranks
from validation.measure.subject import subject
from validation.measure.suites import cases_of
from workloads.zoo import decode_flops_per_token, longcat_flash, tiny

torch.set_num_threads(1)
SIZES = Sizes(
    tokens=(4,), batches=(2,), contexts=(8,), prompts=(5,), tokens_per_expert=(3,), copy_bytes=(64,),
    message_bytes=(64,),
)  # fmt: skip


def lab_of(spec, dtype="fp32"):
    return Lab(spec=spec, device=torch.device("cpu"), dtype=dtype, sizes=SIZES)


@pytest.fixture(scope="module")
def cases():
    return cases_of("quick", lab_of(tiny()), Ranks())


def test_quick_holds_every_part_of_the_layer(cases):
    assert {case.op for case in cases} == {
        "attention.q_a", "attention.q_b", "attention.kv_a", "attention.kv_b", "attention.o", "attention.absorb_query",
        "attention.absorb_value", "attention.core", "dense_ffn.gate_up", "dense_ffn.down", "dense_ffn.act", "router",
        "experts", "moe.sort", "moe.permute", "moe.unpermute", "norm", "residual", "lm_head", "copy", "launch.eager",
        "scmoe_layer", "attention.q_norm", "attention.kv_norm", "attention.scale_query", "attention.rope_query",
        "attention.scale_latent", "attention.rope_key", "attention.pack_entry", "attention.cache_append",
        "attention.pack_query", "attention.merge_heads", "attention.unpack", "moe.count", "moe.regroup", "moe.ungroup",
        "moe.identity",
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("suite", ["quick", "full", "layers"])
def test_every_case_runs_again_and_again(suite, dtype):
    with torch.inference_mode():
        for case in cases_of(suite, lab_of(tiny(), dtype), Ranks()):
            work = case.make()
            for _ in range(3):
                work()


def test_no_two_cases_are_the_same_thing(cases):
    keys = [(case.op, case.dtype, str(case.shape)) for case in cases]
    assert len(set(keys)) == len(keys)


def test_matrix_products_of_a_layer_count_the_flops_of_the_arithmetic(cases):
    """Two attentions and two FFNs over 4 tokens, weights absorbed, beside the zoo's own count per token."""
    model, n_tokens = tiny(), 4
    once = ("q_a", "q_b", "kv_a", "o", "absorb_query", "absorb_value", "gate_up", "down")
    flops = {case.op.rpartition(".")[2]: case.flops for case in cases if case.flops}
    ours = 2 * sum(flops[name] for name in once) + flops["router"]
    head = 2 * model.hidden * model.vocab * n_tokens
    zoo = n_tokens * decode_flops_per_token(model, context_tokens=0, ffn_experts=0)
    assert ours * model.n_layers + head == zoo


def test_experts_count_three_products_per_row(cases):
    model = tiny()
    rows = 3 * model.moe.n_routed_experts
    assert {case.flops for case in cases if case.op == "experts"} == {6.0 * rows * model.hidden * model.moe.expert_ffn}


def test_an_even_load_is_even_and_a_skewed_one_falls_with_the_rank():
    assert load_of(4, 3, 0.0).tolist() == [3, 3, 3, 3]
    skewed = load_of(4, 25, 1.0)
    assert skewed.sum() == 100
    assert np.abs(skewed - 100 * np.array([12, 6, 4, 3]) / 25).max() < 1


def test_a_dense_model_has_no_experts_and_a_model_without_latents_no_latent_attention():
    mixtral = subject("mixtral_8x7b", 0.01, 0)
    assert not any(case.op.startswith("attention") for case in cases_of("full", lab_of(mixtral), Ranks()))


def test_a_shrunk_model_keeps_its_proportions():
    spec, whole = subject("longcat_flash", 0.125, 16), longcat_flash()
    assert (spec.hidden, spec.dense_ffn, spec.moe.expert_ffn, spec.attention.n_heads) == (768, 1536, 256, 8)
    assert (spec.moe.n_routed_experts, spec.moe.n_zero_experts, spec.moe.top_k) == (16, 8, 12)
    assert spec.attention.qk_rope_head_dim == whole.attention.qk_rope_head_dim
    assert subject("longcat_flash", 1.0, 0) == whole


def test_decode_steps_repeat_at_the_same_place():
    lab = lab_of(tiny())
    decode, *_ = layer_cases(lab)
    with torch.inference_mode():
        step = decode.make()
        assert torch.equal(step(), step())


def test_a_cold_product_reads_other_weights_at_every_call():
    layer = torch.nn.Linear(4, 4)
    seen = []
    torch.nn.Module.register_forward_pre_hook(layer, lambda module, _: seen.append(id(module.weight)))
    work = cold(lambda linear: linear(torch.zeros(1, 4)), layer, COLD_BYTES // 2)
    for _ in range(4):
        work()
    assert len(set(seen)) == 2
    assert seen[:2] == seen[2:]


def test_a_steady_cache_returns_its_whole_context():
    cache = SteadyCache(2, 8, 20, torch.zeros(()))
    entries_BSX = torch.ones(2, 1, 20)
    for _ in range(3):
        context_BCX = cache.append(1, entries_BSX)
        assert context_BCX.shape == (2, 8, 20)
        assert torch.equal(context_BCX[:, -1:], entries_BSX)
        assert cache.length(1) == 8


def test_a_model_whose_ffns_have_no_gate_is_not_measured():
    with pytest.raises(InputFaults, match=r"--model: got 'gpt3_moe_xl'; allowed .*tiny; .*SwiGLU"):
        subject("gpt3_moe_xl", 1.0, 0)
