"""Sparse attention of the tiny model by hand: hidden 64, 4 heads, q_lora 32, latent 16 + 4; an indexer of 2 heads of 8
that chooses 6 tokens for both attentions of a layer.

Three sequences per GPU with ten cached tokens, unless a test says otherwise.
"""

from dataclasses import replace

import numpy as np
import pytest
from toy import machine
from unit.workloads.toys import toy_step

from simulator.simulate import simulate
from workloads.batch import Chunks, Mtp, Precision
from workloads.indexer import selected_pairs
from workloads.layout import Layout
from workloads.lower import lower
from workloads.memory import kv_cache_bytes, weight_items
from workloads.model import IndexerSpec
from workloads.zoo import count_parameters, decode_flops_per_token, longcat_2, tiny

INDEXER = IndexerSpec(n_heads=2, head_dim=8, top_k=6, sharing=2)
SPARSE = replace(tiny(), indexer=INDEXER)
BF16 = Precision(weights="bf16", attention_weights="bf16", dispatch="bf16")


def works_of(**changes):
    graph = lower(toy_step(**{"model": SPARSE, "precision": BF16, **changes}), "sequential")
    return {op.name: op.work for op in graph.ops if op.layer <= 0}


@pytest.mark.parametrize(("new", "cached", "pairs"), [
    (1, 10, 6),  # as many as may be read
    (1, 3, 4),  # what there is, itself included
    (4, 4, 5 + 6 + 6 + 6),
    (8, 0, 1 + 2 + 3 + 4 + 5 + 6 + 6 + 6),
])  # fmt: skip
def test_a_query_reads_what_there_is_up_to_top_k(new, cached, pairs):
    two = {"tokens_C": np.array([2.0 * new]), "context_C": np.array([2.0 * cached])}
    assert selected_pairs(6, sequences_C=np.array([2.0]), **two).tolist() == [2 * pairs]


@pytest.mark.parametrize(("name", "flops", "weight_bytes"), [
    ("indexer0.q", 2 * 3 * 32 * 16, 32 * 16 * 2),
    ("indexer0.k_weights", 2 * 3 * 64 * (8 + 2), 64 * 10 * 2),
    ("indexer0.scores", 33 * 2 * 2 * 8, 33 * 8 * 2),  # 3 x (10 + 1) pairs; as many keys of 8 values
    ("mla0.core", 3 * 6 * 2 * 4 * (20 + 16), 3 * 6 * 20 * 2),
    ("mla1.core", 3 * 6 * 2 * 4 * (20 + 16), 3 * 6 * 20 * 2),
])  # fmt: skip
def test_a_decode_op_has_the_flops_and_bytes_of_its_shape(name, flops, weight_bytes):
    work = works_of()[name]
    assert work.flops_C.tolist() == [flops]
    assert work.hbm_bytes_C.tolist() == [weight_bytes]


def test_two_attentions_share_an_indexer_or_have_one_each():
    assert "indexer1.scores" not in works_of()
    assert "indexer1.scores" in works_of(model=replace(SPARSE, indexer=replace(INDEXER, sharing=1)))


def test_drafts_read_their_own_choice():
    """Two queries of each sequence: 11 and 12 keys to score, 6 to read each."""
    works = works_of(mtp=Mtp(n_draft=1, acceptance=(0.5,)))
    assert works["indexer0.scores"].flops_C.tolist() == [3 * 23 * 2 * 2 * 8]
    assert works["mla0.core"].hbm_bytes_C.tolist() == [3 * 2 * 6 * 20 * 2]


def test_a_prompt_is_absorbed_and_reads_the_cache_once():
    """2 prompts of 4 tokens on 10 cached: every query has more than 6 keys."""
    works = works_of(phase="prefill", prompt_tokens=4, sequences=2)
    assert works["mla0.core"].flops_C.tolist() == [2 * 4 * 6 * 2 * 4 * (20 + 16)]
    assert works["mla0.core"].hbm_bytes_C.tolist() == [2 * 14 * 20 * 2]
    assert works["mla0.absorb_k"].flops_C.tolist() == [2 * 8 * 4 * 8 * 16]
    assert works["indexer0.scores"].flops_C.tolist() == [2 * (40 + 1 + 2 + 3 + 4) * 2 * 2 * 8]
    assert "mla0.kv_b" not in works


def test_a_prompt_that_is_read_whole_is_dense_and_is_not_scored():
    works, dense = (works_of(model=model, phase="prefill", prompt_tokens=6, context_tokens=0, sequences=2)
                    for model in (SPARSE, tiny()))  # fmt: skip
    assert set(works) - set(dense) == {"indexer0.q", "indexer0.k_weights", "indexer0.rope_cache"}
    assert works["mla0.core"].flops_C.tolist() == dense["mla0.core"].flops_C.tolist()


def test_a_chunk_beside_decodes_has_a_core_of_its_own():
    chunks = Chunks(sequences=1.0, tokens=8.0, context_tokens=0.0, pairs=36.0)
    works = works_of(chunks=chunks)
    assert works["mla0.chunk_core"].flops_C.tolist() == [(1 + 2 + 3 + 4 + 5 + 6 + 6 + 6) * 2 * 4 * 36]
    assert works["mla0.core"].flops_C.tolist() == [3 * 6 * 2 * 4 * 36]
    assert works["indexer0.scores"].flops_C.tolist() == [(33 + 36) * 2 * 2 * 8]


def test_a_query_takes_a_tile_of_64_heads_whatever_it_has():
    """On the toy machine, 1e12 FLOP/s: 4 of 64 heads, so 16 times the time of its FLOPs; nothing else moves."""
    step = toy_step(model=SPARSE, precision=BF16, n_gpus=1, ep=1, phase="prefill", prompt_tokens=4, sequences=2)
    run = simulate(lower(step, "sequential"), machine(1, 1))
    at = next(i for i, op in enumerate(run.graph.ops) if op.name == "mla0.core")
    demand = run.costs[at].demand
    assert demand.sm_s_C.tolist() == pytest.approx([2 * 4 * 6 * 2 * 4 * 36 * 16 / 1e12 * 10])


def test_the_cache_holds_a_key_per_indexer():
    """30 cached and 3 new tokens: 4 attentions of 20 values, 2 indexers of 8 in BF16; in FP8 a byte and a scale."""
    step = toy_step(model=SPARSE, precision=BF16)
    assert kv_cache_bytes(step) == 33 * (4 * 20 * 2 + 2 * 8 * 2)
    fp8 = replace(step, precision=Precision())
    assert kv_cache_bytes(fp8) == 33 * (4 * 20 * 2 + 2 * (8 + 4 * 8 / 128))


def test_tensor_parallel_attention_keeps_its_indexers_whole():
    step = toy_step(model=SPARSE, precision=BF16, layout=Layout(attention_tp=2))
    assert weight_items(step)["indexer weights"] == 2 * (32 * 16 + 64 * 10) * 2
    assert works_of(layout=Layout(attention_tp=2))["indexer0.q"].flops_C.tolist() == [2 * 6 * 32 * 16]


@pytest.mark.parametrize("context", [999, 9999])
def test_the_flops_of_longcat_2_add_up_to_those_of_the_model(context):
    model = longcat_2()
    step = toy_step(model=model, n_gpus=1, ep=1, sequences=1, context_tokens=context, parts=("layers", "lm_head"))
    lowered = sum(float(op.work.flops_C[0]) for op in lower(step, "sequential").ops if op.work.kind != "embedding")
    exact = decode_flops_per_token(model, context_tokens=context + 1, ffn_experts=8.0)
    assert lowered == pytest.approx(exact, rel=1e-12)


def test_longcat_2_has_38_indexers_of_7_6_million_weights():
    """1536 x 32 x 128 queries from the compressed query, 8192 x (128 + 32) key and weights."""
    assert count_parameters(longcat_2()).indexer == 38 * (1536 * 4096 + 8192 * 160)


def test_a_group_of_two_nodes_gathers_over_rails_then_nvlink():
    """4 ranks on 2 nodes of 2, a shard of 3 tokens of 64 values: one shard over the NIC, two over NVLink, each way."""
    works = works_of(layout=Layout(attention_tp=4), sequences=3)
    shard = 3 * 64 * 2
    for name in ("mla0.all_gather", "mla0.reduce_scatter"):
        sent = works[name].traffic.sent_C
        assert (sent["remote"].tolist(), sent["node"].tolist()) == ([shard], [2 * shard])


def test_the_n_gram_embedding_gathers_and_projects_each_sub_table():
    """LongCat-2.0: 16 tables of 512 columns, each through its own 512 x 8192 product: hidden² weights in all."""
    step = toy_step(model=longcat_2(), n_gpus=1, ep=1, sequences=1)
    works = {op.name: op.work for op in lower(step, "sequential").ops if op.layer < 0}
    assert works["embedding.ngram_projection"].flops_C.tolist() == [2 * 8192 * 8192]
    assert works["embedding.ngram_gather"].activation_bytes_C.tolist() == [8192 * 2 * 2]
