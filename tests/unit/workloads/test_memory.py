"""What a device holds, by hand; and LongCat-Flash on 128 H800s."""

from dataclasses import replace

import pytest
from unit.workloads.toys import toy_step

from simulator.evaluate import sequences_that_fit
from simulator.scenario import load_scenario
from workloads.batch import Mtp, Precision
from workloads.layout import Layout
from workloads.memory import communication_buffer_bytes, kv_cache_bytes, memory_use, weight_items
from workloads.zoo import deepseek_v3, longcat_flash, qwen3_235b

USABLE = 84_943_110_144 * 0.99  # an H800's memory, less its context and driver
FP8 = 1 + 4 / 128**2


def longcat(sequences, kv):
    settings = [f"batch.sequences_per_gpu={sequences}", f"precision.kv={kv}"]
    return load_scenario("longcat-flash-decode-h800x128", settings).step


@pytest.mark.parametrize(("sequences", "kv"), [(108, "bf16"), (160, "fp8")])
def test_published_batches_of_longcat_fit_128_h800(sequences, kv):
    assert memory_use(longcat(sequences, kv)).total_bytes <= USABLE


def test_160_sequences_with_a_bf16_cache_come_out_near_the_limit():
    assert memory_use(longcat(160, "bf16")).total_bytes == pytest.approx(USABLE, abs=3e9)


def test_the_usable_memory_is_that_of_the_profile():
    device = load_scenario("longcat-flash-decode-h800x128").profile.device
    assert device.hbm_bytes * device.usable_hbm_share == pytest.approx(USABLE)


@pytest.mark.parametrize("kv", ["bf16", "fp8"])
def test_the_sequences_that_fit_are_exact_at_the_boundary(kv):
    step = longcat(1, kv)
    most = sequences_that_fit(step, USABLE)
    assert memory_use(longcat(most, kv)).total_bytes <= USABLE < memory_use(longcat(most + 1, kv)).total_bytes
    total = memory_use(longcat(most, kv)).total_bytes
    assert sequences_that_fit(step, total) == most
    assert sequences_that_fit(step, total * (1 - 1e-9)) == most - 1


@pytest.mark.parametrize("setting", ["batch.context_cv=0.9", "batch.max_dispatch_tokens=1024"])
def test_what_fits_counts_the_fullest_device_and_the_buffers_that_were_asked_for(setting):
    for sequences in (96, 130, 150):
        settings = [setting, f"batch.sequences_per_gpu={sequences}"]
        step = load_scenario("longcat-flash-decode-h800x128", settings).step
        assert (sequences_that_fit(step, USABLE) >= sequences) == (memory_use(step).total_bytes <= USABLE)


def test_nothing_fits_where_the_weights_alone_are_too_large():
    step = replace(longcat(1, "bf16"), layout=Layout(ep=1))
    assert sequences_that_fit(step, USABLE) == 0


def test_weights_of_longcat_by_shard():
    """Attention replicated, dense FFN over 4, experts over 128; all FP8 with a scale per 128 x 128 block."""
    step = replace(longcat(96, "bf16"), layout=Layout(ep=128, dense_tp=4))
    items = weight_items(step)
    assert items["attention weights"] == pytest.approx(56 * 90_570_752 * FP8)
    assert items["dense FFN weights"] == pytest.approx(56 * 226_492_416 / 4 * FP8)
    assert items["expert weights"] == pytest.approx(28 * 4 * 37_748_736 * FP8)
    assert items["embedding and LM head"] == 2 * 131_072 * 6144 * 2
    assert "shared expert weights" not in items


def test_attention_projections_may_stay_in_bf16():
    step = replace(longcat(96, "bf16"), precision=Precision(attention_weights="bf16"))
    assert weight_items(step)["attention weights"] == 56 * 90_570_752 * 2


def test_the_draft_head_counts_where_it_drafts():
    step = longcat(96, "bf16")
    head = 90_570_752 + 2048 + 226_492_416 + 2 * 6144**2 + 5 * 6144
    assert weight_items(step)["draft heads"] == pytest.approx(head * FP8)
    assert "draft heads" not in weight_items(replace(step, mtp=Mtp()))


def test_a_draft_head_with_experts_is_sharded_like_the_model():
    step = toy_step(model=deepseek_v3(), n_gpus=8, per_node=8, ep=8, mtp=Mtp(n_draft=1, acceptance=(0.8,)))
    head = weight_items(step)["draft heads"] / FP8
    routed = 256 * 3 * 7168 * 2048
    mla = 7168 * 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 * 128 * 256 + 128 * 128 * 7168 + 2048
    rest = mla + 2 * 7168**2 + 5 * 7168 + 3 * 7168 * 2048 + 256 * 7168 + 256
    assert head == pytest.approx(rest + routed / 8)


def test_kv_cache_of_longcat():
    """108 sequences of 5,000 cached and 2 new tokens, 56 attentions and one draft head's, 1,152 B each."""
    assert kv_cache_bytes(longcat(108, "bf16")) == 108 * 5002 * 57 * 1152


def test_a_latent_cache_is_held_whole_and_kv_heads_are_split_over_attention_ranks():
    whole = toy_step(model=longcat_flash(), layout=Layout(attention_tp=4))
    split = toy_step(model=qwen3_235b(), layout=Layout(attention_tp=4))
    assert kv_cache_bytes(whole) == 4 * 3 * 11 * 56 * 1152
    assert kv_cache_bytes(split) == 4 * 3 * 11 * 94 * 2048 / 4


def test_the_fullest_group_counts():
    drawn = toy_step(context_cv=1.0, context_tokens=1000, sequences=8, seed=2)
    even = toy_step(context_tokens=1000, sequences=8)
    assert kv_cache_bytes(drawn) > kv_cache_bytes(even)


def test_all_to_all_buffers():
    """Low latency: 4 x 512 experts x 192 tokens x 2 x 6144 B; normal: about 1 GB; one rank: none."""
    step = longcat(96, "bf16")
    assert communication_buffer_bytes(step) == 4 * 512 * 192 * 2 * 6144
    sized = replace(step, batch=replace(step.batch, max_dispatch_tokens=256))
    assert communication_buffer_bytes(sized) == 4 * 512 * 256 * 2 * 6144
    assert communication_buffer_bytes(replace(step, all_to_all="normal")) == 1e9
    assert communication_buffer_bytes(replace(step, layout=Layout(ep=1))) == 0.0
