"""One ScMoE layer on the toy machine, each shortcut position by hand [us]. No op stands in another's way: dense
products take 5 of the 10 SMs, router and experts 3, and nothing reads memory.

MLA: projections 4, core 6; FFN: 8; router 1; dispatch 9,000 bytes and a latency: 10; experts 5; combine 12.
"""

from dataclasses import replace

import numpy as np
import pytest
import toy

from simulator.simulate import simulate
from workloads.graph import OpGraph
from workloads.lowering.attention import AttentionBlock
from workloads.lowering.ffn import FfnBlock
from workloads.lowering.moe import AllToAllPhases, MoeBlock
from workloads.lowering.segments import ScmoeLayer
from workloads.ops import Traffic, Work
from workloads.schedules.build import GraphBuilder
from workloads.schedules.table import SCHEDULES

ZERO = np.zeros(1)


def work(name, kernel, *, us=0.0, tiles=5, traffic=None):
    """A product of `us` microseconds of the device's 1e12 FLOP/s on as many SMs as it has tiles."""
    return Work(
        name=name, kind=name.split(".", maxsplit=1)[0], kernel=kernel, precision="bf16", flops_C=np.array([us * 1e6]),
        hbm_bytes_C=ZERO, activation_bytes_C=ZERO, shape={"m": 128.0, "n": 128.0 * tiles, "batch": 1.0},
        traffic=traffic,
    )  # fmt: skip


def attention(name):
    norm, projections = work(f"{name}.norm", "elementwise"), work(f"{name}.projections", "gemm", us=4)
    return AttentionBlock(prepare=[norm, projections], core=[work(f"{name}.core", "gemm", us=6)])


def ffn(name):
    return FfnBlock(gather=[], products=[work(name, "gemm", us=8)], scatter=[])


def flight(kind, n_bytes):
    sent = {"node": np.array([n_bytes])}
    traffic = Traffic(sent_C=sent, received_C=sent, local_C=ZERO, group_C=np.zeros(1, dtype=np.int64))
    return AllToAllPhases(issue=[], flight=[work(f"{kind}.flight", "all_to_all_flight", traffic=traffic)], receive=[])


LAYER = ScmoeLayer(
    index=0, suffix="", attention_0=attention("mla0"), post_norm_0=work("norm0", "elementwise"), ffn_0=ffn("ffn0"),
    attention_1=attention("mla1"), post_norm_1=work("norm1", "elementwise"), ffn_1=ffn("ffn1"),
    moe=MoeBlock(
        router=[work("router", "gemm", us=1, tiles=3)], dispatch=flight("dispatch", 9_000.0),
        experts=[work("experts", "gemm", us=5, tiles=3)], combine=flight("combine", 11_000.0),
    ),
    merge=work("merge", "elementwise"),
)  # fmt: skip


def makespan_us(schedule, shortcut):
    build, ones = GraphBuilder(), np.ones(1, dtype=np.int64)
    SCHEDULES[schedule].place(build, [[replace(LAYER, shortcut=shortcut)]], ())
    graph = OpGraph(ops=build.ops, rank_C=ones - 1, n_alike_C=2 * ones, expert_rows_LR=np.ones((1, 2)))
    return float(simulate(graph, toy.machine()).times.end_OC.max()) / toy.US


@pytest.mark.parametrize("shortcut", [0, 1, 2, 3])
def test_in_turn_every_position_takes_the_sum(shortcut):
    assert makespan_us("sequential", shortcut) == pytest.approx(2 * 10 + 2 * 8 + 1 + 10 + 5 + 12, rel=1e-12)


@pytest.mark.parametrize(("shortcut", "expected"), [
    (3, max(10 + 8 + 4, 11) + 5 + max(6 + 8, 12)),
    (2, 10 + max(8 + 4, 11) + 5 + max(6 + 8, 12)),
    (1, 10 + 8 + max(4, 11) + 5 + max(6 + 8, 12)),
    (0, 10 + 8 + 10 + 11 + 5 + max(8, 12)),
])  # fmt: skip
def test_sbo_runs_the_experts_alone_between_its_two_windows(shortcut, expected):
    assert makespan_us("sbo", shortcut) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("shortcut", "before"), [(3, 0), (2, 10), (1, 18), (0, 28)])
def test_two_streams_take_the_longer_of_backbone_and_branch_from_its_input_on(shortcut, before):
    assert makespan_us("two_stream", shortcut) == pytest.approx(max(36, before + 1 + 10 + 5 + 12), rel=1e-12)
