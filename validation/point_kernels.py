"""Published GEMM and attention figures beside the curves."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from hw_profiles.curves.gemm import gemm_s
from hw_profiles.curves.grouped_gemm import expert_load, grouped_gemm_s
from hw_profiles.curves.mla import mla_prefill_s
from validation.points import NotPredictableError, Point, Prediction, chip_of, condition, curve_of, machine_of

HOPPER = ("h100_sxm", "h200_sxm")  # the H800's compute units are theirs
OTHER_KERNELS = ("wgrad", "bwd", "sparse")  # weight gradients add in fp32, backward and sparse attention are not fitted
TRACE_EXPERTS = 4  # 256 experts on 64 ranks (trace summary)
BESIDE = "beside communication: the fitted share of the rate is applied"
PREFILL = "trtllm_decompressed|bfloat16"


def predict_gemm(point: Point, fitted: Mapping[str, Any]) -> Prediction:
    """Return the time of a dense or grouped product of known shape."""
    _refuse_other_kernels(point)
    quantity = str(point["quantity"])
    m, n, k = _shape(point)
    if "grouped" in quantity:
        return _grouped(point, fitted, m, n, k)
    if quantity.endswith("bf16"):
        curve, name, carried = curve_of(fitted, "gemm", "bfloat16", machine_of(point), *HOPPER)
    else:
        curve, name, carried = curve_of(fitted, "infersim_gemm_fp8", "gemm_fp8", machine_of(point))
    seconds = float(gemm_s(m, n, k, chip=chip_of(point), curve=curve))
    return _beside(point, fitted, Prediction(seconds=seconds, amount=2.0 * m * n * k, curve=name, carried=carried))


def _refuse_other_kernels(point: Point) -> None:
    for word in OTHER_KERNELS:
        if word in str(point["quantity"]):
            message = f"no curve of {word} kernels"
            raise NotPredictableError(message)


def _shape(point: Point) -> tuple[float, float, float]:
    """m, n and k from the conditions, by name or out of "M=…,K=…,N=…"; a grouped product's m is of all groups."""
    found = dict(re.findall(r"([MNK])=(\d+)", str(point["conditions"].get("shape", ""))))
    if set(found) == {"M", "N", "K"}:
        return float(found["M"]), float(found["N"]), float(found["K"])
    if "groups" in point["conditions"]:
        rows = condition(point, "groups") * condition(point, "m_per_group")
        return rows, condition(point, "n"), condition(point, "k")
    return condition(point, "m"), condition(point, "n"), condition(point, "k")


def _grouped(point: Point, fitted: Mapping[str, Any], m: float, n: float, k: float) -> Prediction:
    """One product of an expert layer with even loads: up where it narrows the hidden size, down where it restores."""
    conditions = point["conditions"]
    groups = int(conditions.get("groups", TRACE_EXPERTS))
    phase = "decode" if conditions.get("layout") == "masked" else "prefill"
    part = "up" if k >= n else "down"
    hidden = max(n, k)
    name = f"grouped_gemm_{part}_fp8|{phase}"
    curve, name, carried = curve_of(fitted, "infersim_grouped_gemm", name, machine_of(point))
    load = expert_load(np.full((1, groups), m / groups), row_tile=curve.row_tile)
    width = np.array([n * k / (3.0 * hidden)])  # the curve takes an expert's three matrices of hidden × width
    seconds = float(grouped_gemm_s(load, np.array([hidden]), width, chip=chip_of(point), curve=curve)[0])
    return _beside(point, fitted, Prediction(seconds=seconds, amount=2.0 * m * n * k, curve=name, carried=carried))


def predict_attention(point: Point, fitted: Mapping[str, Any]) -> Prediction:
    """Return the time of causal MLA prefill, decompressed."""
    _refuse_other_kernels(point)
    if "mla" not in str(point["quantity"]):
        message = "the point names no shape of an attention"
        raise NotPredictableError(message)
    machine = machine_of(point)
    found = {name: float(value) for name, value in re.findall(r"([BSH])=(\d+)", str(point["conditions"].get("shape")))}
    length = found.get("S") or condition(point, "seq_len")
    batch = found.get("B") or condition(point, "total_tokens") / length
    heads = found.get("H") or condition(point, "heads")
    others = HOPPER if machine == "h800_sxm" else ()
    curve, name, carried = curve_of(fitted, "mla_context_kernel", PREFILL, machine, *others)
    seconds = float(mla_prefill_s(heads, batch, length, chip=chip_of(point), curve=curve))
    return _beside(point, fitted, Prediction(seconds=seconds, curve=name, carried=carried))


def _beside(point: Point, fitted: Mapping[str, Any], alone: Prediction) -> Prediction:
    """The prediction slowed as the fitted interference has it, where the point says that communication ran beside."""
    if "next to all-to-all" not in str(point["conditions"].get("note", "")):
        return alone
    share = curve_of(fitted, "interference", "normal", machine_of(point))[0].gemm_share
    slowed = alone.seconds / share
    return Prediction(seconds=slowed, amount=alone.amount, curve=alone.curve, carried=alone.carried, note=BESIDE)
