"""Costs from fitted curves: the seconds that a kernel takes alone, spread over the resources that its roofline names.

A curve says how long; the roofline says on what.

C rank classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from hw_profiles.curves.all_to_all import RANKS_PER_NODE, low_latency_s, normal_s
from hw_profiles.curves.batched_gemm import batched_gemm_s
from hw_profiles.curves.elementwise import elementwise_s
from hw_profiles.curves.gemm import gemm_s
from hw_profiles.curves.grouped_gemm import grouped_gemm_s
from hw_profiles.curves.mla import LATENT, ROPE, mla_decode_s, mla_prefill_s
from hw_profiles.curves.pipe import pipe_s
from simulator.costs.communication import border_latency_s, traffic_of
from simulator.costs.cost import Cost, Machine, capacities
from simulator.costs.exchange import exchange_on_curve
from simulator.costs.on_curve import Measured, beyond, first_of, made, priced, shared_bytes
from simulator.costs.served import (
    EXPERTS,
    expected_load,
    served_decode,
    served_experts,
    served_latent_decode,
    served_product,
)
from simulator.costs.torch_curves import torch_cost
from workloads.ops import FloatArray, Work

OTHER_KERNELS = 1.0  # assumed: a share measured on normal kernels is one doubling away for low-latency ones


def from_curve(work: Work, machine: Machine, roofline: Cost) -> Cost:
    """Return the cost by the machine's fitted curve for this kernel, or the roofline where there is none."""
    if machine.backend == "torch":
        return torch_cost(work, machine, roofline)
    if work.kernel == "all_to_all_flight":
        return _disturbed(work, machine, _flight(work, machine, roofline))
    if work.kernel == "all_to_all_normal":
        roofline = _disturbed(work, machine, roofline)
    find = _FINDERS.get(work.kernel)
    measured = find(work, machine) if find else None
    if measured is None:
        return roofline
    return priced(work, machine, roofline, measured)


def _disturbed(work: Work, machine: Machine, cost: Cost) -> Cost:
    """The same cost with the pace that it keeps beside compute, where the machine's interference was fitted.

    It was measured on normal kernels; for low-latency flights it is an extrapolation, and marked as one.
    """
    known = machine.fitted.get(("interference", "normal"))
    normal = work.kernel == "all_to_all_normal"
    if known is None or machine.interference == "off" or (machine.interference == "normal" and not normal):
        return cost
    share = {"dispatch": known.curve.dispatch_share, "combine": known.curve.combine_share}[work.kind]
    beyond_C = cost.beyond_C
    if not normal:
        beyond_C = np.maximum(np.zeros(len(cost.source_C)) if beyond_C is None else beyond_C, OTHER_KERNELS)
    return replace(cost, demand=replace(cost.demand, share_beside_compute=share), beyond_C=beyond_C)


def _flight(work: Work, machine: Machine, roofline: Cost) -> Cost:
    """A low-latency flight: the curve's time for the copies that leave and arrive, less packing and unpacking.

    What a rank sends and what it receives load its link apart, each as the seconds that the curve gives for so many
    copies; the time for none is latency, paid once all of the group have got so far, less what packing takes beyond
    the copies' own time.
    """
    curve = first_of(machine, ("deepep_low_latency", work.kind))
    if curve is None:
        return roofline
    shape, offered = work.shape, capacities(machine)
    hidden, experts, ranks = (float(np.max(shape[name])) for name in ("hidden", "experts", "ranks"))
    nic_only = machine.profile.all_to_all.low_latency_tiers == "nic" and not machine.one_node
    reach = 1 if nic_only else RANKS_PER_NODE

    def taken(copies: FloatArray | float) -> FloatArray:
        return low_latency_s(copies, hidden, 1.0, experts, ranks, chip=machine.chip, curve=curve.curve, reach=reach)

    none_s = float(taken(1e-9))
    packing_C = 2.0 * machine.launch_gap_s + (shape["issue_bytes"] + shape["receive_bytes"]) / offered.bytes_per_s["l2"]
    tier = "nic" if float(np.max(shape["nodes"])) > 1 else "nvlink"
    moving_C = {
        f"{tier}.{side}": taken(np.maximum(shape[f"copies_{way}"], 1e-9)) - none_s
        for side, way in (("egress", "out"), ("ingress", "in"))
    }
    bytes_C = {name: np.maximum(s_C - packing_C, 0.0) * offered.bytes_per_s[name] for name, s_C in moving_C.items()}
    eager_s = 2.0 * (machine.launch_gap_s - machine.profile.launch.graph_gap_s)  # the host's, in no kernel's time
    spare_s = float(np.min(packing_C - np.maximum.reduce(list(moving_C.values())))) - eager_s
    tokens_C = np.asarray(shape["tokens"])
    at = {"tokens_per_rank": tokens_C, "hidden": np.full_like(tokens_C, hidden), "ep": np.full_like(tokens_C, ranks)}
    measured = Measured(curve=curve, seconds_C=tokens_C, floor_C=tokens_C, at=at)
    return replace(
        roofline,
        demand=replace(
            roofline.demand,
            bytes_C=bytes_C | shared_bytes(roofline.demand, machine),
            tail_latency_s=max(none_s - max(spare_s, 0.0), 0.0) + border_latency_s(traffic_of(work), machine),
        ),
        source_C=["fitted"] * len(tokens_C),
        curve=curve,
        beyond_C=beyond(measured),
    )


def _gemm(work: Work, machine: Machine) -> Measured | None:
    shape, at_least_one_C = work.shape, np.maximum(work.shape["m"], 1e-9)
    if shape["batch"] != 1:
        return _absorption(work, machine)
    groups = {"bf16": [("gemm", "bfloat16")], "fp8": [("gemm", "fp8_block"), ("infersim_gemm_fp8", "gemm_fp8")]}
    curve = first_of(machine, *groups.get(work.precision, []))
    if curve is None:
        return served_product(work, machine)
    n, k = float(np.max(shape["n"])), float(np.max(shape["k"]))
    seconds_C = gemm_s(at_least_one_C, n, k, chip=machine.chip, curve=curve.curve)
    if curve.family == "infersim_gemm_fp8":  # DeepGEMM's test times the product alone; a pass before it quantises
        seconds_C = seconds_C + _pass_s(3.0 * at_least_one_C * k, machine)
    full_C = np.ones_like(at_least_one_C)
    return made(curve, seconds_C, curve.curve.floor_s, m=at_least_one_C, n=n * full_C, k=k * full_C)


def _absorption(work: Work, machine: Machine) -> Measured | None:
    side = "pre" if work.name.endswith("absorb_k") else "post"
    curve = first_of(machine, ("mla_bmm", f"mla_gen_{side}|bfloat16"))
    if curve is None or "absorb" not in work.name:
        return None
    shape = work.shape
    rows_C = np.maximum(shape["m"], 1e-9)
    heads, columns, depth = (float(np.max(shape[name])) for name in ("batch", "n", "k"))
    seconds_C = batched_gemm_s(rows_C, heads, depth, columns, chip=machine.chip, curve=curve.curve)
    return made(curve, seconds_C, curve.curve.floor_s, num_tokens=rows_C, num_heads=np.full_like(rows_C, heads))


_EXPERT_CURVES: Mapping[str, Sequence[tuple[str, str]]] = {
    "masked": [("moe_wideep", "deepgemm_masked")],
    "contiguous": [("moe_wideep", "deepgemm_contiguous")],
    "fused": [("moe_fused", "fp8_block"), ("moe_wideep", "deepgemm_masked")],
}


def _grouped(work: Work, machine: Machine) -> Measured | None:
    """What the backend's own kernels were measured to take, else by the published tables, else another backend's."""
    return (
        served_experts(work, machine, own=True)
        or _by_tables(work, machine)
        or served_experts(work, machine, own=False)
    )  # fmt: skip


def _by_tables(work: Work, machine: Machine) -> Measured | None:
    """One of the two products of a rank's experts: its share of what the whole expert layer takes.

    InferSim's table has the two products apart: there the share is of the width, with a curve for each. What a layer
    takes per token counts those that enter a fused layer, and those that arrived for contiguous products: every one is
    read where it landed and gets a sum of its own (aiconfigurator's collector feeds all tokens of the group,
    collect_wideep_deepep_moe.py).
    """
    if work.weights != "fp8" or work.rows_CX is None:
        return None
    shape = work.shape
    hidden, inter, n, k = (float(np.max(shape[name])) for name in ("hidden", "inter", "n", "k"))
    share = n * k / (3.0 * hidden * inter)
    part, phase = "up" if work.name.endswith("up") else "down", {"contiguous": "prefill"}.get(work.variant, "decode")
    names = ("infersim_grouped_gemm", f"grouped_gemm_{part}_fp8|{phase}")
    trtllm = ("moe_wideep", "trtllm_cutlass")
    own_first = (trtllm,) if machine.backend == "trtllm" and work.variant != "fused" else ()
    curve = first_of(machine, *own_first, *_EXPERT_CURVES[work.variant], names)
    if curve is None:
        return None
    coefficients = curve.curve if machine.launch == "eager" else replace(curve.curve, eager_floor_s=0.0)
    load = expected_load(work.rows_CX, shape["active_experts"], coefficients.row_tile)
    own = curve.family == "infersim_grouped_gemm"
    width, factor = (inter * share, 1.0) if own else (inter, share)
    tokens_C = {"fused": shape["tokens"], "contiguous": shape["arrived"]}.get("" if own else work.variant, 0.0)
    seconds_C = factor * grouped_gemm_s(load, hidden, width, chip=machine.chip, curve=coefficients, tokens=tokens_C)
    return made(curve, seconds_C, factor * coefficients.floor_s)


_BF16_CACHE = ((LATENT + ROPE) * 2.0 - 0.5, (LATENT + ROPE) * 2.0 + 0.5)  # bytes of a token and attention


def _decode(work: Work, machine: Machine) -> Measured | None:
    if work.shape["latent"] != LATENT + ROPE or work.precision != "bf16":
        return served_decode(work, machine)
    infersim = ("infersim_mla_decode", "mla_core_decode|bf16/bf16")
    trtllm, sglang = (("mla_generation_kernel", f"{kernel}|bfloat16") for kernel in ("trtllm", "sglang_fa3"))
    curve = first_of(machine, *((trtllm,) if machine.backend == "trtllm" else ()), sglang, infersim)
    if curve is None:
        return served_latent_decode(work, machine)
    shape = work.shape
    batch_C = np.maximum(shape["sequences"], 1e-9)
    kv_C = np.maximum(shape["kv_tokens"] / batch_C, 1.0)
    heads, queries = float(np.max(shape["heads"])), float(np.max(shape["queries"]))
    token_bytes_C = work.hbm_bytes_C / np.maximum(shape["kv_tokens"], 1.0)
    smaller = bool(np.max(token_bytes_C) < _BF16_CACHE[0])  # an FP8 cache: the same arithmetic reads fewer bytes
    coefficients = replace(curve.curve, kv_precision="fp8") if smaller else curve.curve
    seconds_C = mla_decode_s(heads, queries, batch_C, kv_C, chip=machine.chip, curve=coefficients)
    rows_C = np.full_like(batch_C, heads * queries)  # verifying drafts is more rows, as more heads are
    at = {"batch_size": batch_C, "batch": batch_C, "kv_len": kv_C, "num_heads": rows_C, "kv_token_bytes": token_bytes_C}
    curve = replace(curve, ranges={**curve.ranges, "kv_token_bytes": _BF16_CACHE})
    return made(curve, seconds_C, curve.curve.floor_s, **at)


def _prefill(work: Work, machine: Machine) -> Measured | None:
    shape = work.shape
    curve = first_of(machine, ("mla_context_kernel", "trtllm_decompressed|bfloat16"))
    cached = float(np.max(shape["kv_tokens"] - shape["sequences"] * shape["queries"]))
    if curve is None or work.variant == "sparse" or not shape["latent"] or cached > 0.0 or work.precision != "bf16":
        return None
    batch_C = np.maximum(shape["sequences"], 1e-9)
    heads, length = float(np.max(shape["heads"])), float(np.max(shape["queries"]))
    seconds_C = mla_prefill_s(heads, batch_C, length, chip=machine.chip, curve=curve.curve)
    full_C = np.ones_like(batch_C)
    at = {"batch_size": batch_C, "num_heads": heads * full_C, "seq_len": length * full_C}
    return made(curve, seconds_C, curve.curve.floor_s, **at)


def _elementwise(work: Work, machine: Machine) -> Measured | None:
    """Published rule of bytes and a floor; passes around expert products are part of a curve of whole layers."""
    curve = first_of(machine, ("elementwise", "published"))
    if curve is None:
        return None
    bytes_C = work.activation_bytes_C + work.hbm_bytes_C
    if work.kind == "experts" and any(family in {"moe_wideep", EXPERTS} for family, _ in machine.fitted):
        return made(curve, np.zeros_like(bytes_C), 0.0)
    return made(curve, elementwise_s(bytes_C, chip=machine.chip, curve=curve.curve), curve.curve.floor_s)


def _pass_s(bytes_C: FloatArray, machine: Machine) -> FloatArray:
    """Seconds of an element-wise pass by the machine's published rule; none where it has no such rule."""
    curve = first_of(machine, ("elementwise", "published"))
    return np.zeros_like(bytes_C) if curve is None else elementwise_s(bytes_C, chip=machine.chip, curve=curve.curve)


def _normal(work: Work, machine: Machine) -> Measured | None:
    curve = first_of(machine, ("deepep_normal", work.kind))
    if curve is None or not machine.profile.all_to_all.normal_sms:
        return None
    shape, sms = work.shape, float(machine.profile.all_to_all.normal_sms)
    tokens_C = np.maximum(shape["tokens"], 1e-9)
    hidden, nodes = float(np.max(shape["hidden"])), float(np.max(shape["nodes"]))
    seconds_C = normal_s(
        tokens_C, hidden, np.maximum(shape["rank_copies"], 1e-9), shape["node_copies"], shape["choices"], nodes, sms,
        chip=machine.chip, curve=curve.curve,
    )  # fmt: skip
    full_C = np.ones_like(tokens_C)
    at = {
        "tokens_per_rank": tokens_C,
        "hidden": hidden * full_C,
        "nodes": nodes * full_C,
        "topk": shape["choices"] * full_C,
    }
    return made(curve, seconds_C, curve.curve.floor_s, **at)


def _node_collective(work: Work, machine: Machine) -> Measured | None:
    curve = first_of(machine, ("collectives", f"nccl|{work.kernel}"))
    if curve is None:
        return None
    ranks = float(np.max(work.shape["ranks"]))
    sent_C = np.maximum(work.shape["shard_bytes"] * (ranks - 1.0), 1.0)
    link = machine.chip.nvlink_bytes_per_s
    seconds_C = pipe_s(sent_C, ranks, link_bytes_per_s=link, curve=curve.curve)
    floor_s = float(pipe_s(1.0, ranks, link_bytes_per_s=link, curve=curve.curve))
    at = {"num_gpus": np.full_like(sent_C, ranks), "buffer_bytes": sent_C * ranks / (ranks - 1.0)}
    return made(curve, seconds_C, floor_s, **at)


_FINDERS: Mapping[str, Callable[[Work, Machine], Measured | None]] = {
    "gemm": _gemm,
    "grouped_gemm": _grouped,
    "attention_decode": _decode,
    "attention_prefill": _prefill,
    "elementwise": _elementwise,
    "all_to_all_normal": _normal,
    "all_gather": _node_collective,
    "reduce_scatter": _node_collective,
    "exchange": exchange_on_curve,
}
