"""Published all-to-all and collective figures beside the curves."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from hw_profiles.curves.all_to_all import RANKS_PER_NODE, distinct_groups, low_latency_s, normal_s
from hw_profiles.curves.base import Chip
from hw_profiles.curves.pipe import pipe_s
from validation.point_kernels import BESIDE, HOPPER
from validation.points import NotPredictableError, Point, Prediction, chip_of, condition, curve_of, machine_of

EXPERTS = 256.0  # DeepSeek-V3's, where a point names none
README_SMS = 24.0  # DeepEP, tests/test_intranode.py and test_internode.py
PURE_RDMA = "pure RDMA"  # first release: copies inside the node crossed the NIC too
OLD_NORMAL = "the curve is of a later version of the library"
OLD_VERSIONS = ("2025-02-24", "2025-04-21")
ONE_SIDED_BYTES = {"bf16 both": 2.0, "mxfp8": 1.03125, "nvfp4": 0.5625}  # per hidden value of a dispatch
MEGABYTE = 1e6


def predict_low_latency(point: Point, fitted: Mapping[str, Any]) -> Prediction:
    """Return the time of one DeepEP low-latency dispatch or combine."""
    if not str(point["system"]).startswith("DeepEP"):
        message = f"no curve of {point['system']}"
        raise NotPredictableError(message)
    side = _side(point)
    curve, name, carried = curve_of(fitted, "deepep_low_latency", side, machine_of(point), *HOPPER)
    ranks, copies, note = condition(point, "ep"), condition(point, "topk"), ""
    if PURE_RDMA in str(point["system"]):
        if ranks <= RANKS_PER_NODE:
            message = "one node through its NICs alone: no curve"
            raise NotPredictableError(message)
        copies, note = copies / (1.0 - RANKS_PER_NODE / ranks), "every copy crosses the NIC"
    shape = (condition(point, "tokens_per_gpu"), condition(point, "hidden"), copies, _experts(point), ranks)
    seconds = float(low_latency_s(*shape, chip=chip_of(point), curve=curve))
    return Prediction(seconds=seconds, curve=name, carried=carried, note=note)


def _side(point: Point) -> str:
    text = f"{point['conditions'].get('op', '')} {point['quantity']}"
    side = re.search(r"dispatch|combine", text)
    if side is None or "notify" in text:
        message = "neither a dispatch nor a combine"
        raise NotPredictableError(message)
    return side.group()


def _experts(point: Point) -> float:
    return float(point["conditions"].get("experts", EXPERTS))


def predict_normal(point: Point, fitted: Mapping[str, Any]) -> Prediction:
    """Return the time of one DeepEP v1 normal dispatch or combine, and its logical bytes where a rate was published.

    Logical bytes (DeepEP's own tests): copies to ranks inside one node, copies to nodes, the own one included, else.
    """
    system = str(point["system"])
    if not system.startswith("DeepEP") or "V2" in system:
        message = f"no curve of {system}"
        raise NotPredictableError(message)
    side, ranks = _side(point), condition(point, "ep")
    curve, name, carried = curve_of(fitted, "deepep_normal", side, machine_of(point), *HOPPER)
    conditions, nodes = point["conditions"], max(1.0, ranks / RANKS_PER_NODE)
    tokens, top_k = condition(point, "tokens_per_gpu"), float(conditions.get("topk", 8))
    hidden, sms = float(conditions.get("hidden", 7168)), float(conditions.get("sm_comm", README_SMS))
    reached = min(float(distinct_groups(nodes, top_k)), float(conditions.get("topk_groups", 4)))
    to_ranks = float(distinct_groups(ranks, top_k))
    shape = (tokens, hidden, to_ranks, reached * (1.0 - 1.0 / nodes), top_k, nodes, sms)
    seconds = float(normal_s(*shape, chip=_full_chip(point), curve=curve))
    amount = tokens * hidden * curve.value_bytes * (to_ranks if nodes == 1 else reached)
    old = any(version in system for version in OLD_VERSIONS)
    alone = Prediction(seconds=seconds, amount=amount, curve=name, carried=carried, note=OLD_NORMAL if old else "")
    return _beside_compute(point, fitted, alone, side)


def _full_chip(point: Point) -> Chip:
    return chip_of({**point, "hardware": str(point["hardware"]).split(" (")[0]})


def _beside_compute(point: Point, fitted: Mapping[str, Any], alone: Prediction, side: str) -> Prediction:
    """The prediction slowed as the fitted interference has it, where the point says that compute ran beside."""
    if "next to compute" not in str(point["conditions"].get("note", "")):
        return alone
    shares = curve_of(fitted, "interference", "normal", machine_of(point))[0]
    slowed = alone.seconds / float(getattr(shares, f"{side}_share"))
    return Prediction(seconds=slowed, curve=alone.curve, carried=alone.carried, note=BESIDE)


def predict_one_sided(point: Point, fitted: Mapping[str, Any]) -> Prediction:
    """Return the time of one NVLink one-sided dispatch or combine (TensorRT-LLM)."""
    side, conditions = _side(point), point["conditions"]
    group = f"NVLinkOneSided|alltoall_{side}|nvfp4"
    curve, name, carried = curve_of(fitted, "gb200_alltoall_trtllm", group, machine_of(point))
    hidden, ranks = condition(point, "hidden"), condition(point, "ep")
    width = ONE_SIDED_BYTES[str(conditions["dtype"])] if side == "dispatch" else 2.0
    token_bytes = float(conditions.get("bytes_per_token", hidden * width))
    n_bytes = condition(point, "tokens_per_gpu") * float(distinct_groups(ranks, condition(point, "topk"))) * token_bytes
    seconds = float(pipe_s(n_bytes, ranks, link_bytes_per_s=chip_of(point).nvlink_bytes_per_s, curve=curve))
    return Prediction(seconds=seconds, curve=name, carried=carried)


def predict_collective(point: Point, fitted: Mapping[str, Any]) -> Prediction:
    """Return the time of one NCCL collective inside an NVLink domain, `per_gpu_MB` being one rank's shard."""
    if str(point["system"]) != "NCCL":
        message = f"no curve of {point['system']}"
        raise NotPredictableError(message)
    group = f"nccl|{point['conditions'].get('op')}"
    curve, name, carried = curve_of(fitted, "collectives", group, machine_of(point), *reversed(HOPPER))
    ranks = condition(point, "gpus")
    sent = np.float64(condition(point, "per_gpu_MB") * MEGABYTE * (ranks - 1.0))
    seconds = float(pipe_s(sent, ranks, link_bytes_per_s=chip_of(point).nvlink_bytes_per_s, curve=curve))
    return Prediction(seconds=seconds, curve=name, carried=carried)
