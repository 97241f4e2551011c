"""The layer of docs/sbo_by_hand.md through the real schedule, costs and engine; the end times are the document's."""

import numpy as np
import pytest
import toy

from simulator.bounds import busiest_resource_bound_s, critical_path_bound_s
from simulator.critical_path import critical_path
from simulator.simulate import Run, simulate
from workloads.graph import OpGraph
from workloads.lowering.attention import AttentionBlock
from workloads.lowering.ffn import FfnBlock
from workloads.lowering.moe import AllToAllPhases, MoeBlock
from workloads.lowering.segments import ScmoeLayer
from workloads.ops import Kernel, Traffic, Work
from workloads.schedules.build import GraphBuilder
from workloads.schedules.single_batch import sbo

WIDE = {"m": 1280.0, "n": 128.0, "batch": 1.0}  # ten tiles of 128 x 128: a grid that fills the device
THREE_TILES = {"m": 128.0, "n": 384.0, "batch": 1.0}

ENDS_US = {
    "mla0.prepare": (5, 5), "mla0.core": (11, 11), "norm0": (12, 12),
    "router": (14, 14), "dispatch.issue": (17, 18), "dispatch.flight": (24, 24), "dispatch.receive": (28.25, 26),
    "ffn0": (22.25, 22.25), "mla1.prepare": (27.25, 27.25),
    "experts": (35.25, 31.25),
    "combine.issue": (39.25, 34.25), "combine.flight": (48.25, 48.25), "combine.receive": (51.25, 50.75),
    "mla1.core": (43.25, 38.75), "norm1": (44.25, 39.75), "ffn1": (54.25, 49.75),
    "merge": (55.75, 52.25),
}  # fmt: skip


def work(name: str, kernel: Kernel, *, mflop: toy.Amount = 0.0, hbm: toy.Amount = 0.0, **more: object) -> Work:
    compute = not kernel.startswith("all_to_all")
    bytes_C, zeros_C = toy.per_class(hbm, 2), np.zeros(2)
    return Work(
        name=name, kind=name.split(".", maxsplit=1)[0], kernel=kernel, precision="bf16",
        flops_C=toy.per_class(mflop, 2) * 1e6,
        hbm_bytes_C=bytes_C if compute else zeros_C,
        activation_bytes_C=zeros_C if compute else bytes_C,
        **more,
    )  # type: ignore[arg-type]  # fmt: skip


def gemm(name: str, mflop: toy.Amount, hbm: toy.Amount) -> Work:
    return work(name, "gemm", mflop=mflop, hbm=hbm, shape=WIDE)


def all_to_all(kind: str, issue: toy.Amount, out: list[float], receive: toy.Amount) -> AllToAllPhases:
    traffic = Traffic(
        sent_C={"node": np.array(out)},
        received_C={"node": np.array(out[::-1])},
        local_C=np.zeros(2),
        group_C=np.zeros(2, dtype=np.int64),
    )
    return AllToAllPhases(
        issue=[work(f"{kind}.issue", "all_to_all_issue", hbm=issue)],
        flight=[work(f"{kind}.flight", "all_to_all_flight", traffic=traffic)],
        receive=[work(f"{kind}.receive", "all_to_all_receive", hbm=receive)],
    )


def attention(name: str) -> AttentionBlock:
    core = work(f"{name}.core", "attention_decode", mflop=1.6, hbm=6_000)
    return AttentionBlock(prepare=[gemm(f"{name}.prepare", 4, 1_000)], core=[core])


def ffn(name: str) -> FfnBlock:
    return FfnBlock(gather=[], products=[gemm(name, 8, 3_000)], scatter=[])


def layer() -> ScmoeLayer:
    moe = MoeBlock(
        router=[work("router", "gemm", mflop=2, shape=THREE_TILES)],
        dispatch=all_to_all("dispatch", [2_100, 2_800], [3_000, 5_000], [3_600, 1_600]),
        experts=[work("experts", "grouped_gemm", mflop=[4, 2], hbm=[7_000, 4_000])],
        combine=all_to_all("combine", [2_000, 1_500], [8_000, 6_000], [2_100, 2_050]),
    )
    return ScmoeLayer(
        index=0, suffix="", moe=moe,
        attention_0=attention("mla0"), post_norm_0=work("norm0", "elementwise", hbm=1_000), ffn_0=ffn("ffn0"),
        attention_1=attention("mla1"), post_norm_1=work("norm1", "elementwise", hbm=1_000), ffn_1=ffn("ffn1"),
        merge=work("merge", "elementwise", hbm=1_500),
    )  # fmt: skip


@pytest.fixture
def sbo_run() -> Run:
    build = GraphBuilder()
    sbo(build, [[layer()]], ())
    ones = np.ones(2, dtype=np.int64)
    graph = OpGraph(ops=build.ops, rank_C=np.arange(2), n_alike_C=ones, expert_rows_LR=np.ones((1, 2)))
    return simulate(graph, toy.machine(), compute_sms=8)


def test_every_op_ends_when_the_document_says(sbo_run):
    ends_us = {op.name: tuple(sbo_run.times.end_OC[i] / toy.US) for i, op in enumerate(sbo_run.graph.ops)}
    assert set(ends_us) == set(ENDS_US)
    for name, expected in ENDS_US.items():
        assert ends_us[name] == pytest.approx(expected, rel=1e-12), name


def test_ranks_wait_for_one_another_as_the_document_says(sbo_run):
    waits_us = {op.name: tuple(sbo_run.times.wait_OC[i] / toy.US) for i, op in enumerate(sbo_run.graph.ops)}
    assert waits_us["dispatch.flight"] == pytest.approx((1, 0), abs=1e-9)
    assert waits_us["combine.flight"] == pytest.approx((0, 5), abs=1e-9)


def test_the_critical_path_of_the_layer_is_the_hot_ranks_way_through_its_stages(sbo_run):
    # Back from merge: FFN 1, norm and core on rank 0, experts, its receive, and there the flight, for which rank 1,
    # whose issue ended later, is to blame.
    path = critical_path(sbo_run)
    names = [sbo_run.graph.ops[i].name for i in path["op_id"]]
    assert names == [
        "mla0.prepare", "mla0.core", "norm0", "router", "dispatch.issue", "dispatch.flight", "dispatch.receive",
        "experts", "mla1.core", "norm1", "ffn1", "merge",
    ]  # fmt: skip
    assert list(path["rank"]) == [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert path["time_s"].sum() == pytest.approx(55.75e-6, rel=1e-12)


def test_the_layers_bounds_are_those_of_its_amounts(sbo_run):
    # Every op alone, rank 0: stage 2 ends with its dense side, 12 + 10 + 5 = 27 us, as its communication side would by
    # 12 + 2 + 2.8 (rank 1's issue) + 5 + 1 + 3.6 = 26.4. Then experts, core, norm, FFN 1, merge: 7 + 6 + 1 + 10 + 1.5.
    assert critical_path_bound_s(sbo_run) == pytest.approx(52.5e-6, rel=1e-12)
    # HBM of rank 0: 8,000 + 2,100 + 3,600 + 4,000 + 7,000 + 2,000 + 2,100 + 10,000 + 1,500 bytes.
    assert busiest_resource_bound_s(sbo_run) == pytest.approx(40.3e-6, rel=1e-12)
