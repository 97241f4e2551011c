"""Seconds of a step from kernel tables, added up by hand."""

import json
from dataclasses import replace

import pytest

from simulator.serving.step_times import GroupBatch, StepBatch
from validation.serving.constants import Link, Overhead
from validation.serving.engine_setup import graph_sizes
from validation.serving.kernel_tables import read_kernel_tables
from validation.serving.lines import Line
from validation.serving.served_model import served_model
from validation.serving.table_step_times import TableStepTimes, one_chunk

MOE_CONFIG = {
    "model_type": "mixtral", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 100, "num_local_experts": 8,
    "num_experts_per_tok": 2, "tie_word_embeddings": False,
}  # fmt: skip


@pytest.fixture
def times(run_folder):
    return TableStepTimes(
        tables=read_kernel_tables(run_folder, 1), model=served_model("toy", run_folder),
        overhead=Overhead(prompt_step_s=0.0, long_decode_share=0.0),
    )  # fmt: skip


def us(times, n_decode=0, context=0, prefills=(), longest=0, fullest=None):
    batch = StepBatch(
        n_decode=n_decode, decode_context_tokens=context, prefills=prefills, longest_decode_tokens=longest,
        fullest=fullest,
    )  # fmt: skip
    return times.seconds(batch) * 1e6


def test_a_step_is_its_layers_its_head_and_its_ends(times):
    # two layers of qkv 10 T, two norms of 0.5 and attention 1; embedding and final norm 0.5 each; head and sampler 1
    assert us(times, prefills=((4, 0),)) == pytest.approx(20 * 4 + 7)
    assert us(times, n_decode=2, context=32) == pytest.approx(20 * 2 + 7)
    assert us(times, n_decode=1, context=16, prefills=((16, 0),)) == pytest.approx(20 * 17 + 7)


def test_steps_with_prompts_cost_their_overhead(times):
    slower = replace(times, overhead=Overhead(prompt_step_s=1e-3, long_decode_share=0.0))
    assert us(slower, prefills=((4, 0),)) == pytest.approx(1087)
    assert us(slower, n_decode=2, context=32) == us(times, n_decode=2, context=32)


def test_small_steps_take_the_captured_size_and_large_ones_their_own(times):
    captured = replace(times, graph_sizes=(4, 8))
    assert us(captured, n_decode=3, context=48) == pytest.approx(20 * 4 + 7)
    assert us(captured, prefills=((9, 0),)) == pytest.approx(20 * 9 + 7)


def test_two_tensor_parallel_ranks_reduce_twice_a_layer(times):
    link = Link(seconds=Line(xs=[0.0, 1e6], seconds=[10e-6, 1.00001]), source="toy")  # 10 µs and 1 µs a byte
    shared = replace(times, link=link, tables=replace(times.tables, degree=2))
    # 2 layers x 2 all-reduces of 2 tokens x 64 values x 2 bytes, all of which cross the link each way between two ranks
    assert us(shared, n_decode=2, context=32) == pytest.approx(47 + 2 * 2 * (10 + 256))


@pytest.fixture
def experts(run_folder, times):
    (run_folder / "config.json").write_text(json.dumps(MOE_CONFIG))
    moe = [(1, 2, 100.0), (1, 8, 100.0), (100, 2, 100.0), (100, 8, 100.0)]
    rows = "\n".join(",".join(map(str, row)) for row in moe)
    (run_folder / "tp1_moe.csv").write_text(f"tokens,activated_experts,time_us\n{rows}\n")
    return replace(times, tables=read_kernel_tables(run_folder, 1), model=served_model("toy", run_folder))


def test_a_moe_block_stands_in_every_layer(experts):
    assert us(experts, n_decode=2, context=32) == pytest.approx(47 + 2 * 100)


def test_groups_gather_all_tokens_and_wait_for_the_fullest(experts):
    """Four decodes and a prompt of 16: the fullest group has one of the decodes and the prompt, 17 new tokens."""
    link = Link(seconds=Line(xs=[0.0, 1.0], seconds=[10e-6, 10e-6]), source="toy")
    both = replace(experts, n_groups=2, expert_parallel=True, link=link)
    exchange = 2 * 2 * 10  # two layers gather and scatter
    assert us(both, n_decode=4, context=64, fullest=GroupBatch(3, 48, ())) == pytest.approx(20 * 3 + 7 + 200 + exchange)
    prompt = ((16, 0),)
    asked = us(both, n_decode=4, context=64, prefills=prompt, fullest=GroupBatch(1, 16, prompt))
    assert asked == pytest.approx(20 * 17 + 7 + 200 + exchange)


def test_one_chunk_keeps_tokens_and_pairs():
    assert one_chunk(()) == (0.0, 0.0)
    assert one_chunk(((10, 30),)) == (10, 30.0)
    tokens, history = one_chunk(((10, 100), (10, 0)))
    assert tokens * history + tokens * (tokens + 1) / 2 == 10 * 100 + 2 * 55
    short, none = one_chunk(((10, 0), (10, 0)))  # fewer pairs than a prompt of 20 has
    assert (short * (short + 1) / 2, none) == (pytest.approx(110), 0.0)


def test_a_long_context_counts_only_where_the_kernel_no_longer_splits(times, run_folder):
    rows = [f"0,0,{n},{kv},{n * kv}.0" for n in (1, 4) for kv in (16, 64)]
    header = "prefill_chunk,kv_prefill,n_decode,kv_decode,time_us"
    (run_folder / "tp1_attention.csv").write_text("\n".join([header, *rows, "16,0,0,0,1.0", "16,0,1,16,1.0"]))
    uneven = replace(times, tables=read_kernel_tables(run_folder, 1))
    share = Overhead(prompt_step_s=0.0, long_decode_share=0.5)
    # 5 SMs take 10 blocks, 0.8 of which are 4 sequences of 2 heads. Contexts of 16, 16, 16 and 64 tokens are read in
    # 4 x 28 µs a layer; four of 64 would take 256: half of the difference is added in each of two layers.
    four = {"n_decode": 4, "context": 112, "longest": 64}
    unsplit = replace(uneven, overhead=share, n_sms=5)
    assert us(unsplit, **four) - us(uneven, **four) == pytest.approx(2 * 0.5 * (256 - 112))
    assert us(replace(unsplit, n_sms=6), **four) == us(uneven, **four)
    assert us(unsplit, n_decode=4, context=112) == us(uneven, n_decode=4, context=112)  # the longest is not known


def test_captured_sizes_end_at_twice_the_sequences():
    assert graph_sizes(4) == [1, 2, 4, 8]
    assert graph_sizes(128)[-3:] == [240, 248, 256]
    assert graph_sizes(1024)[-2:] == [496, 512]
