"""Ops of the tiny model by hand: hidden 64, 4 heads, q_lora 32, kv_lora 16, 8 + 4 + 8 head dims, FFN 128, experts 32.

Three sequences per GPU with ten cached tokens, unless a test says otherwise.
"""

from dataclasses import replace

import numpy as np
import pytest
from unit.workloads.toys import toy_step

from workloads.batch import Mtp, Precision
from workloads.layout import Layout
from workloads.lower import lower
from workloads.lowering.moe import payload_bytes
from workloads.zoo import ZOO, decode_flops_per_token, longcat_flash, mixtral_8x7b, tiny

SCHEDULES = ["sequential", "sbo", "two_stream", "tbo", "tbo_five_stage", "tbo_phased", "prefill_pairs"]
BF16 = Precision(weights="bf16", attention_weights="bf16", dispatch="bf16")


def works_of(step, schedule="sequential"):
    """The first layer's works, and those outside layers, by name."""
    graph = lower(step, schedule)
    return {op.name: op.work for op in graph.ops if op.layer <= 0}


@pytest.mark.parametrize(
    "name", ["longcat_flash", "deepseek_v3", "kimi_k2", "qwen3_235b", "mixtral_8x7b", "gpt2_moe_medium", "tiny"]
)
def test_the_flops_of_the_ops_add_up_to_those_of_the_model(name):
    """A decoded token attends to its context and to itself: context + 1."""
    model = ZOO[name]()
    step = toy_step(model=model, n_gpus=1, ep=1, sequences=1, context_tokens=999, parts=("layers", "lm_head"))
    lowered = sum(float(op.work.flops_C[0]) for op in lower(step, "sequential").ops)
    exact = decode_flops_per_token(model, context_tokens=1000, ffn_experts=model.moe.mean_ffn_experts)
    assert lowered == pytest.approx(exact, rel=1e-12)


def test_the_weights_that_a_large_batch_reads_are_the_matrices_of_a_layer():
    """So many tokens that every expert is active: MLA, FFNs and experts in BF16, the router in FP32."""
    step = toy_step(model=tiny(), n_gpus=1, ep=1, sequences=10_000, context_tokens=0, precision=BF16)
    read = sum(float(work.hbm_bytes_C[0]) for name, work in works_of(step).items() if name.split(".")[0] in {
        "mla0", "mla1", "ffn0", "ffn1", "experts", "router"})  # fmt: skip
    mla = 64 * 32 + 32 * 4 * 12 + 64 * 20 + 16 * 4 * 16 + 4 * 8 * 64
    assert read == pytest.approx(2 * (2 * mla + 2 * 3 * 64 * 128 + 8 * 3 * 64 * 32) + 4 * 12 * 64)


@pytest.mark.parametrize(("name", "flops", "weight_bytes"), [
    ("mla0.qkv_a", 2 * 3 * 64 * 52, 64 * 52 * 2),  # 32 + 16 + 4
    ("mla0.q_b", 2 * 3 * 32 * 48, 32 * 48 * 2),  # 4 heads of 12
    ("mla0.absorb_k", 2 * 3 * 4 * 8 * 16, 4 * 8 * 16 * 2),
    ("mla0.core", 33 * 2 * 4 * (20 + 16), 30 * 20 * 2),  # 3 x (10 + 1) pairs; 30 cached tokens of 20 values
    ("mla0.absorb_v", 2 * 3 * 4 * 16 * 8, 4 * 16 * 8 * 2),
    ("mla0.o", 2 * 3 * 32 * 64, 32 * 64 * 2),
    ("ffn0.gate_up", 2 * 3 * 64 * 256, 64 * 256 * 2),
    ("ffn0.down", 2 * 3 * 128 * 64, 128 * 64 * 2),
    ("router.gemm", 2 * 3 * 64 * 12, 64 * 12 * 4),
    ("lm_head", 2 * 3 * 64 * 256, 64 * 256 * 2),
])  # fmt: skip
def test_a_decode_product_has_the_flops_and_weights_of_its_shape(name, flops, weight_bytes):
    work = works_of(toy_step(precision=BF16))[name]
    assert work.flops_C.tolist() == [flops]
    assert work.hbm_bytes_C.tolist() == [weight_bytes]


def test_drafts_multiply_queries_and_read_the_cache_once():
    """2 queries on 10 cached tokens: 10 + 10 + 1 + 2 pairs per sequence."""
    core = works_of(toy_step(mtp=Mtp(n_draft=1, acceptance=(0.5,)), precision=BF16))["mla0.core"]
    assert core.flops_C.tolist() == [3 * 23 * 2 * 4 * 36]
    assert core.hbm_bytes_C.tolist() == [30 * 20 * 2]


def test_prefill_expands_keys_and_values_and_attends_causally():
    """2 sequences of 4 new tokens on 10 cached: 2 x (40 + 1 + 2 + 3 + 4) pairs of 12 + 8 dims."""
    step = toy_step(phase="prefill", prompt_tokens=4, sequences=2, precision=BF16)
    works = works_of(step)
    assert works["mla0.core"].flops_C.tolist() == [2 * 50 * 2 * 4 * 20]
    assert works["mla0.core"].hbm_bytes_C.tolist() == [0]
    assert works["mla0.kv_b"].flops_C.tolist() == [2 * (2 * 10 + 8) * 16 * 4 * 16]
    assert "mla0.absorb_k" not in works
    assert works["lm_head"].flops_C.tolist() == [2 * 2 * 64 * 256]  # the last token of each prompt


def test_attention_over_two_ranks_halves_heads_and_gathers_the_group():
    """6 tokens of the group on half of the heads; a rank sends its 3 tokens to the other: 3 x 64 x 2 B."""
    works = works_of(toy_step(layout=Layout(attention_tp=2), precision=BF16))
    assert works["mla0.q_b"].flops_C.tolist() == [2 * 6 * 32 * 24]
    assert works["mla0.core"].hbm_bytes_C.tolist() == [60 * 20 * 2]  # a latent cache is read whole
    for name in ("mla0.all_gather", "mla0.reduce_scatter"):
        traffic = works[name].traffic
        assert traffic.sent_C["node"].tolist() == traffic.received_C["node"].tolist() == [3 * 64 * 2]
        assert works[name].kind == "attention_tp"


def test_gqa_over_ranks_splits_its_kv_heads_as_far_as_there_are_any():
    """Mixtral: 32 heads, 8 KV heads of 128. TP 4 leaves 8 heads and 2 KV heads to a rank."""
    step = toy_step(model=mixtral_8x7b(), n_gpus=8, per_node=8, layout=Layout(attention_tp=4), precision=BF16)
    works = works_of(step)
    assert works["gqa0.qkv"].flops_C.tolist() == [2 * 12 * 4096 * (8 + 2 + 2) * 128]
    assert works["gqa0.core"].flops_C.tolist() == [12 * 11 * 4 * 8 * 128]
    assert works["gqa0.core"].hbm_bytes_C.tolist() == [120 * 2 * 2 * 128 * 2]
    assert works["gqa0.o"].flops_C.tolist() == [2 * 12 * 8 * 128 * 4096]


def test_a_dense_ffn_over_two_ranks_computes_twice_the_tokens_on_half_the_width():
    works = works_of(toy_step(layout=Layout(dense_tp=2), precision=BF16))
    assert works["ffn0.gate_up"].flops_C.tolist() == [2 * 6 * 64 * 128]
    assert works["ffn0.gate_up"].hbm_bytes_C.tolist() == [64 * 128 * 2]
    assert works["ffn0.all_gather"].traffic.sent_C["node"].tolist() == [3 * 64 * 2]
    assert works["ffn0.reduce_scatter"].kind == "dense_tp"


def test_no_collective_where_there_is_one_rank():
    assert not {"attention_tp", "dense_tp"} & {work.kind for work in works_of(toy_step()).values()}
    assert not {"dispatch", "combine"} & {work.kind for work in works_of(toy_step(ep=1)).values()}


def test_experts_compute_the_rows_they_get_and_read_those_that_are_active():
    """12 tokens x 2 experts over 4 ranks of 2 experts: 6 rows; an expert is active with 1 - 0.75^12."""
    works, active = works_of(toy_step(precision=BF16)), 2 * (1 - 0.75**12)
    assert works["experts.gate_up"].flops_C == pytest.approx([2 * 6 * 64 * 64])
    assert works["experts.down"].flops_C == pytest.approx([2 * 6 * 32 * 64])
    assert works["experts.gate_up"].hbm_bytes_C == pytest.approx([active * 64 * 64 * 2])


def test_low_latency_dispatch_sends_a_copy_per_expert_and_combine_brings_them_back():
    """3 tokens x 2 experts, evenly over 4 ranks: 1.5 rows each; 1 neighbour in the node, 2 ranks outside."""
    works = works_of(toy_step(precision=BF16))
    for kind in ("dispatch", "combine"):
        flight = works[f"{kind}.flight"].traffic
        assert flight.sent_C["node"] == pytest.approx([1.5 * 128])
        assert flight.sent_C["remote"] == pytest.approx([3 * 128])
        assert flight.received_C["remote"] == pytest.approx([3 * 128])
        assert flight.local_C == pytest.approx([1.5 * 128])


def test_normal_kernels_send_a_copy_per_node():
    """2 of 8 experts, 4 of them in the other node: a token goes there unless both are here, 1 - C(4,2)/C(8,2)."""
    work = works_of(toy_step(precision=BF16, all_to_all="normal"))["dispatch"]
    assert work.traffic.sent_C["remote"] == pytest.approx([3 * (1 - 6 / 28) * 128])
    touches_rank = 1 - 15 / 28  # C(6,2) / C(8,2)
    assert work.traffic.sent_C["node"] == pytest.approx([6 * touches_rank * 128])  # own 3 tokens and its rail's 3


@pytest.mark.parametrize(("precision", "n_bytes"), [("fp8", 6144 + 4 * 48 + 16), ("fp8_bare", 6144), ("bf16", 12288)])
def test_a_token_on_the_wire(precision, n_bytes):
    assert payload_bytes(6144, precision) == n_bytes


def test_fp8_weights_carry_a_scale_per_block():
    work = works_of(toy_step(model=longcat_flash(), n_gpus=8, per_node=8, ep=8))["ffn0.down"]
    assert work.hbm_bytes_C == pytest.approx([12288 * 6144 * (1 + 4 / 128**2)])


def test_the_second_draft_runs_one_token_per_sequence():
    model = replace(tiny(), mtp=replace(tiny().mtp, n_layers=2))
    works = works_of(toy_step(model=model, mtp=Mtp(n_draft=2, acceptance=(0.5, 0.5)), precision=BF16))
    assert works["mtp0.join"].flops_C.tolist() == [2 * 9 * 64 * 128]
    assert works["mtp1.join"].flops_C.tolist() == [2 * 3 * 64 * 128]
    assert works["mtp1.lm_head"].flops_C.tolist() == works["mtp0.lm_head"].flops_C.tolist() == [2 * 3 * 64 * 256]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_places_the_same_work(schedule):
    """Flops and bytes on the links do not depend on the order; halves read weights twice, which is not compared."""

    def amounts(name):
        works = [op.work for op in lower(toy_step(sequences=4), name).ops]
        flops = sum(float(work.flops_C[0]) for work in works)
        sent = sum(float(sum(work.traffic.sent_C.values())[0]) for work in works if work.traffic)
        return flops, sent

    assert amounts(schedule) == pytest.approx(amounts("sequential"))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_ops_wait_only_for_ops_issued_before_them(schedule):
    for index, op in enumerate(lower(toy_step(sequences=4), schedule).ops):
        assert all(dep < index for dep in op.deps)


def test_rows_of_contiguous_fp8_experts_are_moved_together_and_summed_back():
    """A prefill of 3 prompts of 8 tokens, 2 experts each, hidden 64: 48 rows on a rank alone, FP8 in and BF16 out, each
    read and written; the activation between reads gate and up of width 32 and writes FP8."""
    prompts = {
        "phase": "prefill",
        "prompt_tokens": 8,
        "context_tokens": 0,
        "all_to_all": "normal",
        "n_gpus": 1,
        "ep": 1,
    }
    works = works_of(toy_step(**prompts))
    assert works["experts.permute"].activation_bytes_C.tolist() == [48 * 64 * 2]
    assert works["experts.unpermute"].activation_bytes_C.tolist() == [48 * 64 * 2 * 2]
    assert works["experts.act"].activation_bytes_C.tolist() == [48 * 32 * (2 * 2 + 1)]
    assert not {"experts.permute", "experts.unpermute"} & {
        *works_of(toy_step()),
        *works_of(toy_step(**prompts, precision=BF16)),
    }


def test_ranks_that_are_alike_are_one_class():
    graph = lower(toy_step(n_gpus=8, per_node=2, ep=4), "sequential")
    assert graph.rank_C.tolist() == [0]
    assert graph.n_alike_C.tolist() == [8]


def test_remap0_sets_expert_0s_rank_and_its_node_apart():
    """Rank 0 gets the rows; rank 1 shares its node; ranks 2 and 3 are alike."""
    graph = lower(toy_step(routing={"zero_experts": "remap0"}), "sequential")
    assert graph.rank_C.tolist() == [0, 1, 2]
    assert graph.n_alike_C.tolist() == [1, 1, 2]


def test_equal_groups_of_unequal_ranks_are_one_group():
    """Two EP groups with one hot rank each: twice the ranks, the same classes."""
    graph = lower(toy_step(n_gpus=8, routing={"zero_experts": "remap0"}), "sequential")
    assert graph.n_alike_C.tolist() == [2, 2, 4]
    flight = next(op.work for op in graph.ops if op.name == "dispatch.flight")
    assert len(set(flight.traffic.group_C.tolist())) == 1


def test_every_rank_is_counted_once_where_all_differ():
    graph = lower(toy_step(n_gpus=8, context_cv=1.0, routing={"draw": "sample"}, seed=1), "tbo")
    assert graph.n_ranks == 8
    assert sorted(graph.rank_C.tolist()) == graph.rank_C.tolist() == list(range(8))
    assert all(len(op.work.flops_C) == graph.n_classes for op in graph.ops)


def test_layers_that_are_alike_share_their_work_and_sampled_ones_do_not():
    def experts(step):
        return [op.work for op in lower(step, "sequential").ops if op.name == "experts.down"]

    alike, drawn = experts(toy_step()), experts(toy_step(routing={"draw": "sample"}))
    assert alike[0] is alike[1]
    assert drawn[0] is not drawn[1]
    assert not np.array_equal(drawn[0].flops_C, drawn[1].flops_C)


def test_without_a_gate_an_ffn_and_an_expert_are_two_products():
    """Hidden 1024, inner width 4096, 3 tokens, one expert each: 2 x 3 x 1024 x 4096 FLOPs per product."""
    works = works_of(toy_step(model=ZOO["gpt2_moe_medium"](), n_gpus=1, ep=1, precision=BF16))
    for name in ("ffn0.up", "ffn0.down", "experts.up", "experts.down"):
        assert works[name].flops_C.tolist() == pytest.approx([2 * 3 * 1024 * 4096])
    assert not any("gate" in name for name in works)
    assert works["ffn0.act"].activation_bytes_C.tolist() == [3 * 4096 * 2 * 2]  # read the width, write the width
