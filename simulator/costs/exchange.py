"""Cost of an exchange: every algorithm of `workloads.lowering.exchanges`, by its bytes on each tier and its latencies.

C rank classes.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hw_profiles.curves.pipe import pipe_s
from simulator.costs.communication import NODE_COLLECTIVE_SMS, border_bytes, border_latency_s
from simulator.costs.cost import Cost, Machine, finish_cost
from simulator.costs.on_curve import Measured, first_of, made
from simulator.resources import Demand
from workloads.ops import Distance, Work

TIERS: Mapping[Distance, str] = {"node": "nvlink", "remote": "nic"}
EXPERT_ALGORITHMS = ("pairwise", "hierarchical", "one_sided")  # their kernels hold the SMs of a normal all-to-all
# NCCL's tables by what it was asked for; its choice of algorithm (ring, tree, NVLS) is in their times.
# Latency of the stores and barrier of a custom all-reduce [s], per hop, where no curve knows it: the floor of SGLang's
# under a CUDA graph on 8 H200 (ai-dynamo/aiconfigurator @095f58a5 (Apache-2.0), fitted).
STORE_LATENCY_S = 2.9e-6
CUSTOM = ("one_shot", "two_shot")
NCCL = {"all_gather": "all_gather", "reduce_scatter": "reduce_scatter", "ring": "all_reduce", "pairwise": "alltoall"}


def exchange_cost(work: Work, machine: Machine) -> Cost:
    """Return the demand of one exchange: its bytes on each tier at once, at the pace of the scarcest, then as many
    latencies of each tier as it needs, once the whole group has got so far."""
    traffic, all_to_all = work.traffic, machine.profile.all_to_all
    assert traffic is not None, f"{work.name} is communication and moves nothing"
    tiers = machine.profile.tiers
    hop_s = {distance: tiers[tier].latency_s for distance, tier in TIERS.items() if tier in tiers}
    if work.variant in CUSTOM:
        hop_s["node"] = min(hop_s["node"], STORE_LATENCY_S)
    used = [distance for distance in TIERS if np.any(traffic.sent_C[distance] + traffic.received_C[distance] > 0.0)]
    holds = work.variant in EXPERT_ALGORITHMS and all_to_all.normal_sms > 0
    amounts = {f"{TIERS[distance]}.egress": traffic.sent_C[distance] for distance in used}
    amounts |= {f"{TIERS[distance]}.ingress": traffic.received_C[distance] for distance in used}
    demand = Demand(
        latency_s_C=np.full_like(work.flops_C, machine.launch_gap_s),
        sm_s_C=np.zeros_like(work.flops_C),
        sms=all_to_all.normal_sms if holds else NODE_COLLECTIVE_SMS,
        holds_sms=holds,
        bytes_C=amounts | border_bytes(traffic),
        group_C=traffic.group_C,
        tail_latency_s=sum(float(np.max(work.shape[f"{distance}_hops"])) * hop_s[distance] for distance in used)
        + border_latency_s(traffic, machine),
    )
    tier = TIERS["remote"] if "remote" in used else TIERS["node"]
    cost = finish_cost(machine, work, demand, tier=tier, latency_figure=f"tiers.{tier}.latency_s")
    return replace(cost, sent_bytes={TIERS[distance]: traffic.sent_C[distance] for distance in used})


def exchange_on_curve(work: Work, machine: Machine) -> Measured | None:
    """Return what a measured table says of an exchange inside one NVLink domain; None where there is none.

    NCCL's tables count what a rank sends in a ring, TensorRT-LLM's one-sided ones what leaves the GPU: here too.
    """
    if float(np.max(work.shape["nodes"])) > 1 or work.traffic is None:
        return None
    names = [("collectives", f"nccl|{NCCL[work.variant]}")] if work.variant in NCCL else []
    if work.variant in CUSTOM:
        own = {"trtllm": "trtllm_custom", "vllm": "vllm_graph"}.get(machine.backend, "sglang_graph")
        names = [("collectives", f"{name}|all_reduce") for name in (own, "sglang_graph", "nccl")]
    if work.variant == "one_sided":
        names = [("gb200_alltoall_trtllm", f"NVLinkOneSided|alltoall_{work.kind}|nvfp4")]
    curve = first_of(machine, *names)
    if curve is None:
        return None
    ranks, link = float(np.max(work.shape["ranks"])), machine.chip.nvlink_bytes_per_s
    moved_C = np.maximum(np.maximum(work.traffic.sent_C["node"], work.traffic.received_C["node"]), 1.0)
    if work.variant == "one_shot":
        moved_C = moved_C * 2.0 / ranks  # the same buffer in a ring
    seconds_C = pipe_s(moved_C, ranks, link_bytes_per_s=link, curve=curve.curve)
    floor_s = float(pipe_s(1.0, ranks, link_bytes_per_s=link, curve=curve.curve))
    twice = 2.0 if work.variant in {"ring", *CUSTOM} else 1.0  # an all-reduce sends every byte of its buffer twice
    at = {"num_gpus": np.full_like(moved_C, ranks), "buffer_bytes": moved_C / twice * ranks / (ranks - 1.0)}
    return made(curve, seconds_C, floor_s, **at, moe_ep_size=at["num_gpus"])
