"""FLOPs and weight bytes of every part against closed forms, counted by torch.

A part is (what runs it, FLOPs, weights it reads): the table to hold beside the amounts of `workloads.ops`.
B sequences, S new positions, C positions in context, T tokens, M rows.
"""

import pytest

torch = pytest.importorskip("torch", reason="the layers need torch")

from torch.utils.flop_counter import FlopCounterMode
from unit.layers.tiny import tiny_spec

from workloads.layers.attention_core import attend_causally, attend_latents
from workloads.layers.block import ScMoEBlock
from workloads.layers.language_model import LanguageModel
from workloads.layers.rope import Rotation
from workloads.layers.settings import LayerSettings
from workloads.layers.weights import initialise

torch.set_num_threads(1)
SPEC = tiny_spec()
MLA, MOE = SPEC.attention, SPEC.moe
D, H, A, P, V = SPEC.hidden, MLA.n_heads, MLA.qk_nope_head_dim, MLA.qk_rope_head_dim, MLA.v_head_dim
Q, L, X = MLA.q_lora_rank, MLA.kv_lora_rank, MLA.kv_lora_rank + MLA.qk_rope_head_dim
B, S, C = 2, 8, 24
T = B * S
N_POOL = MOE.n_routed_experts + MOE.n_zero_experts


def linear(weights):
    return 2 * T * weights, weights


def parts():
    model = LanguageModel(SPEC, LayerSettings())
    initialise(model, 0.2, torch.Generator().manual_seed(0))
    block: ScMoEBlock = model.layers[0]
    mla, moe = block.attention_0, block.moe
    x_BSD = torch.randn(B, S, D, generator=torch.Generator().manual_seed(1))
    at = Rotation.at(0, S, P, 1e7, x_BSD)
    new = mla.project(x_BSD, at)
    query_BSHX, context_BCX = torch.randn(B, S, H, X), torch.randn(B, C, X)
    head_query, head_key, head_value = torch.randn(B, S, H, A + P), torch.randn(B, C, H, A + P), torch.randn(B, C, H, V)
    dispatched = moe.dispatch(x_BSD.flatten(0, 1))
    n_rows = len(dispatched.flight.wait())
    expert = 3 * D * MOE.expert_ffn
    return {
        "q_a": (lambda: mla.q_a(x_BSD), *linear(D * Q)),
        "q_b": (lambda: mla.q_b(torch.zeros(B, S, Q)), *linear(Q * H * (A + P))),
        "kv_a": (lambda: mla.kv_a(x_BSD), *linear(D * X)),
        "kv_b": (lambda: mla.decompress(new.entries_BSX), *linear(L * H * (A + V))),
        "o": (lambda: mla.o(torch.zeros(B, S, H * V)), *linear(H * V * D)),
        "absorb_query": (lambda: mla.absorb_query(new.nope_BSHA), *linear(H * A * L)),
        "absorb_value": (lambda: mla.absorb_value(query_BSHX[..., :L]), *linear(H * V * L)),
        "prefill_core": (
            lambda: attend_causally(head_query, head_key, head_value, 1.0), 2 * T * H * C * (A + P + V), 0
        ),
        "decode_core": (lambda: attend_latents(query_BSHX, context_BCX, L, 1.0), 2 * T * H * C * (X + L), 0),
        "dense_ffn": (lambda: block.ffn_0(x_BSD), *linear(3 * D * SPEC.dense_ffn)),
        "router": (lambda: moe.router(x_BSD.flatten(0, 1)), *linear(D * N_POOL)),
        "experts": (lambda: moe.compute(dispatched), 2 * n_rows * expert, MOE.n_routed_experts * expert),
        "lm_head": (lambda: model.head(x_BSD), *linear(D * SPEC.vocab)),
    }  # fmt: skip


WEIGHTS_OF = {
    "q_a": "attention_0.q_a", "q_b": "attention_0.q_b", "kv_a": "attention_0.kv_a", "kv_b": "attention_0.kv_b",
    "o": "attention_0.o", "dense_ffn": "ffn_0", "router": "moe.router.classifier", "experts": "moe.experts",
}  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("name", list(parts()))
def test_a_part_does_the_flops_of_its_closed_form(name):
    run, flops, _ = parts()[name]
    with FlopCounterMode(display=False) as counter:
        run()
    if name == "experts":  # the batched products count their padding, at most twice the rows and one round more
        assert flops <= counter.get_total_flops() <= 3 * flops
    else:
        assert counter.get_total_flops() == flops


@torch.no_grad()
def test_evenly_loaded_experts_do_the_flops_of_their_rows():
    block = ScMoEBlock(SPEC, LayerSettings())
    initialise(block, 0.2)
    load_G = torch.full((MOE.n_routed_experts,), 5)
    with FlopCounterMode(display=False) as counter:
        block.moe.experts(torch.randn(5 * MOE.n_routed_experts, D), load_G)
    assert counter.get_total_flops() == 2 * 5 * MOE.n_routed_experts * 3 * D * MOE.expert_ffn


@pytest.mark.parametrize("name", WEIGHTS_OF)
def test_a_part_reads_the_bytes_of_its_weights(name):
    module = ScMoEBlock(SPEC, LayerSettings()).bfloat16().get_submodule(WEIGHTS_OF[name])
    n_bytes = sum(weight.numel() * weight.element_size() for weight in module.parameters())
    assert n_bytes == 2 * parts()[name][2]
