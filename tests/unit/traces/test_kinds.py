"""Names of annotations, kernels and operators tell what an op is for."""

import pytest

from simulator.evaluate import run_scenario
from simulator.metrics import COMMUNICATION_KINDS
from simulator.scenario import load_scenario
from validation.traces.kinds import kind_of_annotation, kind_of_name, layer_of


@pytest.mark.parametrize("scenario", ["longcat-flash-decode-h200x16", "qwen3-235b-decode-h800x128"])
def test_an_annotation_named_like_a_simulated_op_has_its_kind(scenario):
    timeline = run_scenario(load_scenario(scenario)).timeline
    ops = timeline.drop_duplicates("op")
    told = {op: kind_of_annotation(op) for op in ops["op"]}
    assert told == dict(zip(ops["op"], ops["kind"].astype(str), strict=True))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("void deep_ep::internode_ll::dispatch<true, 3, 7168>(...)", "dispatch"),
        ("void deep_ep::internode_ll::combine<7168>(...)", "combine"),
        ("ncclDevKernel_AllReduce_Sum_bf16_RING_LL", "collective"),
        ("ncclDevKernel_SendRecv", "p2p"),
        ("c10d::alltoall_base_", "collective"),
        ("Memcpy PtoP (Device -> Device)", "p2p"),
        ("Memset (Device)", "copy"),
        ("sm90_xmma_gemm_bf16bf16_bf16f32", "gemm"),
        ("aten::mm", "gemm"),
        ("flash_fwd_splitkv_mla_kernel", "attention"),
        ("rms_norm_kernel", "norm"),
        ("aten::topk", "router"),
        ("vectorized_elementwise_kernel", "elementwise"),
        ("aten::index_put_", "other"),
    ],
)
def test_a_kernel_s_name_tells_its_kind(name, kind):
    assert kind_of_name(name) == kind


def test_words_that_are_none_of_ours_tell_nothing():
    assert [kind_of_annotation(name) for name in ("forward", "mla", "routers", "dispatcher.x")] == [
        "",
        "attention",
        "",
        "",
    ]


@pytest.mark.parametrize("text", ["layer3.mla0.q_b", "Layer 3/mla0.q_b", "layers.3:mla0.q_b"])
def test_a_layer_stands_before_the_op(text):
    assert layer_of(text) == (3, "mla0.q_b")


def test_collectives_without_a_purpose_are_communication():
    assert "collective" in COMMUNICATION_KINDS
