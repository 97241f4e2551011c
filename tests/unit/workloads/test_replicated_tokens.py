"""Tensor parallelism as serving engines run it: every rank of a group holds all of its tokens."""

import pytest
from unit.workloads.toys import toy_step

from workloads.batch import Precision
from workloads.layout import Layout
from workloads.lower import lower
from workloads.memory import weight_items
from workloads.zoo import deepseek_v3

BF16 = Precision(weights="bf16", attention_weights="bf16")
GROUPS = [(1, 8), (2, 4), (8, 1)]  # ep, moe_tp


def replicated(ep, moe_tp, **fields):
    step = toy_step(
        model=deepseek_v3(), n_gpus=8, per_node=8, ep=ep, sequences=4, context_tokens=1000, precision=BF16, **fields
    )
    layout = Layout(attention_tp=8, dense_tp=8, ep=ep, moe_tp=moe_tp, tp_tokens="replicated")
    return type(step)(**{**vars(step), "layout": layout})


def layer_works(step, layer=10):
    return {op.work.name: op.work for op in lower(step, "sequential").ops if op.layer == layer}


@pytest.mark.parametrize(("ep", "moe_tp"), GROUPS)
def test_a_layer_sums_twice_and_gathers_nothing(ep, moe_tp):
    exchanges = [work.name for work in layer_works(replicated(ep, moe_tp)).values() if work.traffic]
    assert exchanges == ["mla0.all_reduce", "combine.all_reduce"]


def test_a_sum_in_one_shot_sends_the_tokens_to_every_other_rank():
    """32 tokens of 7168 BF16 values: 459 kB, too much for one shot among eight; four tokens are not."""
    few = toy_step(model=deepseek_v3(), n_gpus=8, per_node=8, ep=1, sequences=0.5, context_tokens=1000, precision=BF16)
    few = type(few)(**{**vars(few), "layout": replicated(1, 8).layout})
    work = layer_works(few)["combine.all_reduce"]
    assert work.variant == "one_shot"
    assert work.traffic.sent_C["node"] == pytest.approx(7 * 4 * 7168 * 2)
    many = layer_works(replicated(1, 8))["combine.all_reduce"]
    assert many.variant == "two_shot"
    assert many.traffic.sent_C["node"] == pytest.approx(2 * 7 / 8 * 32 * 7168 * 2)


@pytest.mark.parametrize(("ep", "moe_tp"), GROUPS)
def test_the_ranks_share_the_rows_and_the_width_of_the_experts(ep, moe_tp):
    """32 tokens with 8 experts each: 256 rows in all, each through three matrices of 7168 x 2048."""
    works = layer_works(replicated(ep, moe_tp))
    flops = sum(float(works[name].flops_C[0]) for name in ("experts.gate_up", "experts.down"))
    assert 8 * flops == pytest.approx(256 * 3 * 2 * 7168 * 2048)


def test_the_ranks_share_shared_experts_and_the_vocabulary():
    model, step = deepseek_v3(), replicated(1, 8)
    works = layer_works(step) | layer_works(step, layer=-1)
    assert works["shared.down"].hbm_bytes_C == pytest.approx(7168 * 2048 / 8 * 2)
    assert works["lm_head"].hbm_bytes_C == pytest.approx(model.vocab * 7168 / 8 * 2)
    assert works["router.gemm"].shape["m"] == pytest.approx(32)
    assert works["lm_head"].shape["m"] == pytest.approx(32)


def test_a_device_stores_an_eighth_of_every_expert():
    split, spread = (weight_items(replicated(ep, moe_tp)) for ep, moe_tp in ((1, 8), (8, 1)))
    assert split == pytest.approx(spread)


def test_four_bit_weights_that_are_widened_are_multiplied_in_bf16():
    step = replicated(1, 8)
    four = type(step)(**{**vars(step), "precision": Precision(weights="w4", attention_weights="bf16")})
    wide, narrow = layer_works(step)["experts.down"], layer_works(four)["experts.down"]
    assert narrow.precision == "bf16"
    assert narrow.hbm_bytes_C == pytest.approx(wide.hbm_bytes_C * (0.5 + 1 / 32) / 2)
    assert narrow.flops_C == pytest.approx(wide.flops_C)
