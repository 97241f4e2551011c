"""FLOPs and weight bytes of lowered ops against torch's counter on the real modules: one decode step of one layer."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the layers need torch")

from torch.utils.flop_counter import FlopCounterMode

from workloads.batch import Batch, Precision
from workloads.layers.attention_core import attend_causally, attend_latents
from workloads.layers.block import ScMoEBlock
from workloads.layers.language_model import LanguageModel
from workloads.layers.rope import Rotation
from workloads.layers.settings import LayerSettings
from workloads.layers.weights import initialise
from workloads.layout import Layout
from workloads.lower import lower
from workloads.step import StepSpec
from workloads.zoo import tiny

torch.set_num_threads(1)
MODEL = replace(tiny(), n_layers=1)
A, D, MOE = MODEL.attention, MODEL.hidden, MODEL.moe
B, C = 5, 24  # sequences, cached tokens
BF16 = Precision(weights="bf16", attention_weights="bf16", dispatch="bf16")


def works(phase="decode", **batch):
    step = StepSpec(
        model=MODEL, n_gpus=1, devices_per_node=8, phase=phase, layout=Layout(), precision=BF16,
        batch=Batch(sequences_per_gpu=B, **batch), parts=("layers", "lm_head"),
    )  # fmt: skip
    return {op.work.name: op.work for op in lower(step, "sequential").ops}


def counted(run):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def modules():
    model = LanguageModel(MODEL, LayerSettings())
    initialise(model, 0.2, torch.Generator().manual_seed(0))
    return model, model.layers[0]


def decode_parts():
    model, block = modules()
    mla, x_BSD = block.attention_0, torch.randn(B, 1, D)
    new = mla.project(x_BSD, Rotation.at(0, 1, A.qk_rope_head_dim, 1e7, x_BSD))
    width = A.kv_lora_rank + A.qk_rope_head_dim
    query, context = torch.randn(B, 1, A.n_heads, width), torch.randn(B, C + 1, width)
    return {
        "mla0.qkv_a": (lambda: (mla.q_a(x_BSD), mla.kv_a(x_BSD)), [mla.q_a, mla.kv_a]),
        "mla0.q_b": (lambda: mla.q_b(torch.zeros(B, 1, A.q_lora_rank)), [mla.q_b]),
        "mla0.absorb_k": (lambda: mla.absorb_query(new.nope_BSHA), []),
        "mla0.core": (lambda: attend_latents(query, context, A.kv_lora_rank, 1.0), []),
        "mla0.absorb_v": (lambda: mla.absorb_value(query[..., : A.kv_lora_rank]), []),
        "mla0.o": (lambda: mla.o(torch.zeros(B, 1, A.n_heads * A.v_head_dim)), [mla.o]),
        "ffn0": (lambda: block.ffn_0(x_BSD), [block.ffn_0]),
        "router.gemm": (lambda: block.moe.router(x_BSD.flatten(0, 1)), []),
        "lm_head": (lambda: model.head(x_BSD), [model.head]),
    }


@pytest.mark.parametrize("name", list(decode_parts()))
def test_a_decode_op_does_the_flops_that_torch_counts(name):
    run, _ = decode_parts()[name]
    lowered = works(context_tokens=C)
    flops = sum(work.flops_C[0] for op, work in lowered.items() if op == name or op.startswith(f"{name}."))
    assert flops == counted(run)


@pytest.mark.parametrize("name", ["mla0.qkv_a", "mla0.q_b", "mla0.o", "ffn0", "lm_head"])
def test_an_op_reads_the_bytes_of_its_modules_weights(name):
    _, parts = decode_parts()[name]
    n_bytes = sum(2 * weight.numel() for part in parts for weight in part.parameters())
    lowered = works(context_tokens=C)
    read = sum(work.hbm_bytes_C[0] for op, work in lowered.items() if op == name or op.startswith(f"{name}."))
    assert read == n_bytes


def test_experts_do_the_flops_of_the_rows_that_the_router_sends():
    rows = 6
    _, block = modules()
    load = torch.full((MOE.n_routed_experts,), rows)
    torch_flops = counted(lambda: block.moe.experts(torch.randn(rows * MOE.n_routed_experts, D), load))
    lowered = works(context_tokens=C)
    expected_rows = B * MOE.mean_ffn_experts
    flops = sum(work.flops_C[0] for op, work in lowered.items() if op.startswith("experts."))
    assert flops / expected_rows == pytest.approx(torch_flops / (rows * MOE.n_routed_experts), rel=1e-12)


def test_a_prompts_attention_counts_half_the_square_that_torch_multiplies():
    length = 16
    query, key = (torch.randn(B, length, A.n_heads, A.qk_nope_head_dim + A.qk_rope_head_dim) for _ in range(2))
    value = torch.randn(B, length, A.n_heads, A.v_head_dim)
    whole_square = counted(lambda: attend_causally(query, key, value, 1.0))
    core = works("prefill", context_tokens=0, prompt_tokens=length)["mla0.core"]
    assert core.flops_C[0] == whole_square * (length + 1) / (2 * length)


def test_the_whole_block_is_the_sum_of_its_ops():
    block = ScMoEBlock(MODEL, LayerSettings())
    assert sum(p.numel() for p in block.ffn_1.parameters()) * 2 == sum(
        work.hbm_bytes_C[0] for op, work in works(context_tokens=C).items() if op.startswith("ffn1.")
    )
