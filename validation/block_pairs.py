"""A pair of transformer blocks with one MoE, as the ScMoE paper times it, run through the engine.

Durations are in times of one routed expert: the machine is a toy on which one FLOP and one byte take one second, so an
op takes what it is given. Compute ops never run beside one another (one SM); a second stream carries the all-to-alls.
Source of the order: ScMoE paper (arXiv 2404.05019), section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hw_profiles.schema import AllToAll, Device, Efficiency, Fabric, HardwareProfile, Launch, Node, Tier
from simulator.simulate import Run, simulate
from workloads.graph import OpGraph
from workloads.lowering.attention import AttentionBlock
from workloads.lowering.ffn import FfnBlock
from workloads.lowering.moe import AllToAllPhases, MoeBlock
from workloads.lowering.segments import ScmoeLayer
from workloads.model import Shortcut
from workloads.ops import BytesByDistance, Kernel, Traffic, Work
from workloads.schedules.build import GraphBuilder, joined
from workloads.schedules.shortcut import backbone, moe_input

FFN_TIME = 1.0  # a dense FFN or shared expert beside a routed expert: same shape, same tokens (paper, section 4.1)
N_BASELINE = 2  # experts per token of the standard MoE that everything is compared with


@dataclass(frozen=True, kw_only=True)
class PairTimes:
    """What the ops of a pair take, in times of one routed expert: one `attention`, and gate, encode and decode together
    (`overhead`). `share`: all-to-alls as a share of the baseline's MoE (all-to-alls, experts, overhead)."""

    attention: float
    overhead: float
    share: float

    @property
    def all_to_all(self) -> float:
        """Both all-to-alls of one routed expert per token."""
        return self.share / (1.0 - self.share) * (N_BASELINE + self.overhead) / N_BASELINE


@dataclass(frozen=True, kw_only=True)
class Design:
    """An MoE architecture: routed experts per token, whether a shared expert stands beside them, where the MoE reads.

    `every_block`: every block has an MoE, so that the pair shrinks to its second block.
    """

    n_routed: int
    shared: bool = False
    shortcut: Shortcut = 0
    every_block: bool = False


def pair_run(design: Design, times: PairTimes, *, compute_factor: float = 1.0) -> Run:
    """Return the simulated pair, its compute ops `compute_factor` times as long."""
    layer = _layer(design, times, compute_factor)
    build = GraphBuilder()
    _place(build, layer, paper_slot(layer))
    ones, rows = np.ones(1, dtype=np.int64), np.ones((1, 1))
    graph = OpGraph(ops=build.ops, rank_C=ones - 1, n_alike_C=2 * ones, expert_rows_LR=rows)
    return simulate(graph, _TOY, contention=True)


@lru_cache(maxsize=100_000)
def elapsed(design: Design, times: PairTimes, *, compute_factor: float = 1.0) -> float:
    """Return the makespan of the pair, in times of one routed expert."""
    return float(pair_run(design, times, compute_factor=compute_factor).times.end_OC.max())


def speedup(design: Design, times: PairTimes, phase: str) -> float:
    """Return how many times faster than the standard top-2 MoE the design is, in "inference" or "train".

    A training step adds the backward pass: matrix products take twice the forward time (gradients of inputs and of
    weights), the all-to-alls carry the same bytes once more. Its order is the mirror of the forward one, which takes as
    long, so it is run as a forward pass with compute twice as long.
    """
    passes = (1.0,) if phase == "inference" else (1.0, 2.0)
    baseline = Design(n_routed=N_BASELINE, every_block=design.every_block)
    took = [sum(elapsed(d, times, compute_factor=factor) for factor in passes) for d in (baseline, design)]
    return took[0] / took[1]


def paper_slot(layer: ScmoeLayer) -> int:
    """Return how many ops of the backbone come before the experts: the slot that minimises
    |compute before - dispatch| + |compute after - combine|, the first of equal ones (paper, section 3.2)."""
    works, ready = backbone(layer), moe_input(layer)
    dispatch, combine = (_bytes(phases.flight) for phases in (layer.moe.dispatch, layer.moe.combine))

    def mismatch(slot: int) -> float:
        return abs(_flops(works[ready:slot]) - dispatch) + abs(_flops(works[slot:]) - combine)

    return min(range(ready, len(works) + 1), key=lambda slot: round(mismatch(slot), 9))


def _place(build: GraphBuilder, layer: ScmoeLayer, slot: int) -> None:
    """Gate and encode as early as possible, decode as late as possible, the experts in their slot."""
    moe, works, ready = layer.moe, backbone(layer), moe_input(layer)
    sent = build.chain([*works[:ready], *moe.router, *moe.dispatch.issue], stream="main", layer=0, after=())
    landed = build.chain(moe.dispatch.flight, stream="comm", layer=0, after=sent)
    before = build.chain(works[ready:slot], stream="main", layer=0, after=sent)
    computed = build.chain(moe.experts, stream="main", layer=0, after=joined(before, landed))
    landed = build.chain(moe.combine.flight, stream="comm", layer=0, after=computed)
    behind = build.chain(works[slot:], stream="main", layer=0, after=computed)
    build.chain([*moe.combine.receive, layer.merge], stream="main", layer=0, after=joined(behind, landed))


def _layer(design: Design, times: PairTimes, factor: float) -> ScmoeLayer:
    first = 0.0 if design.every_block else factor
    third, flight = times.overhead / 3.0, design.n_routed * times.all_to_all / 2.0  # only the sums count
    return ScmoeLayer(
        index=0, suffix="", shortcut=design.shortcut,
        attention_0=_attention("attention_0", times.attention * first), post_norm_0=_compute("norm", 0.0),
        ffn_0=_ffn("ffn_0", FFN_TIME * first),
        attention_1=_attention("attention_1", times.attention * factor), post_norm_1=_compute("norm", 0.0),
        ffn_1=_ffn("shared_expert", FFN_TIME * factor if design.shared else 0.0),
        moe=MoeBlock(
            router=[_compute("gate", third * factor)],
            dispatch=_exchange("dispatch", flight, issue=[_compute("encode", third * factor)]),
            experts=[_compute("experts", design.n_routed * factor)],
            combine=_exchange("combine", flight, receive=[_compute("decode", third * factor)]),
        ),
        merge=_compute("merge", 0.0),
    )  # fmt: skip


def _attention(name: str, time: float) -> AttentionBlock:
    return AttentionBlock(prepare=[_compute("norm", 0.0)], core=[_compute(name, time)])


def _ffn(name: str, time: float) -> FfnBlock:
    return FfnBlock(gather=[], products=[_compute(name, time)], scatter=[])


def _exchange(kind: str, time: float, issue: Sequence[Work] = (), receive: Sequence[Work] = ()) -> AllToAllPhases:
    amount: BytesByDistance = {"node": np.array([time])}
    traffic = Traffic(sent_C=amount, received_C=amount, local_C=np.zeros(1), group_C=np.zeros(1, dtype=np.int64))
    return AllToAllPhases(issue=issue, flight=[_work(kind, "all_to_all_flight", 0.0, traffic=traffic)], receive=receive)


def _compute(name: str, time: float) -> Work:
    return _work(name, "gemm", time)


def _work(name: str, kernel: Kernel, flops: float, traffic: Traffic | None = None) -> Work:
    return Work(
        name=name, kind=name, kernel=kernel, precision="bf16", flops_C=np.array([flops]), hbm_bytes_C=np.zeros(1),
        activation_bytes_C=np.zeros(1), shape={"m": 1.0, "n": 1.0, "batch": 1.0}, traffic=traffic,
    )  # fmt: skip


def _flops(works: Sequence[Work]) -> float:
    return float(sum(work.flops_C[0] for work in works))


def _bytes(works: Sequence[Work]) -> float:
    return float(sum(work.traffic.sent_C["node"][0] for work in works if work.traffic))


_FULL = {"bf16": 1.0}
_TOY = HardwareProfile(
    name="seconds", title="One FLOP and one byte per second, one SM",
    device=Device(
        name="seconds", n_sms=1, hbm_bytes=1.0, hbm_bytes_per_s=1.0, usable_hbm_share=1.0, l2_bytes=0.0,
        l2_bytes_per_s=1.0, power_w=1.0, usd_per_hour=1.0, peak_flops_per_s=_FULL,
    ),
    node=Node(n_devices=2),
    tiers={"nvlink": Tier(bytes_per_s=1.0, efficiency=1.0, latency_s=0.0)},
    fabric=Fabric(kind="single_node", oversubscription=1.0, max_devices=2),
    efficiency=Efficiency(gemm=_FULL, grouped_gemm=_FULL, attention_decode=_FULL, attention_prefill=_FULL, hbm=1.0),
    launch=Launch(graph_gap_s=0.0, eager_gap_s=0.0),
    all_to_all=AllToAll(
        low_latency_tiers="nvlink_and_nic", counts_local_copies=False, hooked=True, low_latency_sms=0, normal_sms=0
    ),
)  # fmt: skip
