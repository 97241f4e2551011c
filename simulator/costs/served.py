"""Costs of kernels as serving backends run them, from the curves of `served.json`.

C rank classes.
"""

from collections.abc import Mapping

import numpy as np

from hw_profiles.curves.elementwise import elementwise_s
from hw_profiles.curves.gemm import gemm_s
from hw_profiles.curves.grouped_gemm import ExpertLoad, as_eight_bit, grouped_gemm_s
from hw_profiles.curves.mla import mla_decode_s
from hw_profiles.fitted import FittedCurve
from simulator.costs.cost import Machine
from simulator.costs.on_curve import Measured, first_of, made
from workloads.ops import FloatArray, Work

EXPERTS = "served_experts"
_BACKENDS = ("trtllm", "sglang", "vllm")  # whose kernels stand in where a backend's own were not measured
# Number format of the weights to its name in the tables, the bytes of a weight with its scales, and the arithmetic.
_FORMATS: Mapping[str, tuple[str, float, str]] = {
    "fp8": ("fp8_block", 1.0, "fp8"),
    "fp4": ("nvfp4", 0.5625, "fp4"),
    "w4a8": ("w4a8_mxfp4_mxfp8", 0.53125, "fp8"),
    "w4": ("w4a16_mxfp4", 0.53125, "bf16"),
    "int4": ("int4_wo", 0.5625, "bf16"),
}


def expected_load(rows_CX: FloatArray, active_C: FloatArray | float, row_tile: float) -> ExpertLoad:
    """Return the load of expected rows. `active_C` experts have any: those that have none are drawn as exp(-rows), or
    none where rows are drawn; an expert that has some has its tiles."""
    active_C, none_CX = np.asarray(active_C, dtype=np.float64), np.where(rows_CX > 0.0, np.exp(-rows_CX), 0.0)
    missing_C = np.maximum((rows_CX > 0.0).sum(axis=-1) - active_C, 0.0)
    none_CX = none_CX * (missing_C / np.maximum(none_CX.sum(axis=-1), 1e-300))[..., None]
    share_CX = np.maximum(1.0 - none_CX, 1e-9)
    tiles_C = (share_CX * np.ceil(rows_CX / share_CX / row_tile)).sum(axis=-1)
    rows_C = rows_CX.sum(axis=-1)
    return ExpertLoad(active=active_C, rows=rows_C, padded_rows=np.maximum(tiles_C * row_tile, rows_C))


def served_experts(work: Work, machine: Machine, *, own: bool) -> Measured | None:
    """Return one of the two products of a rank's experts as its share of what a backend's whole expert layer takes:
    the backend's `own`, or another's where it has none."""
    if work.weights not in _FORMATS or work.rows_CX is None or work.variant not in {"fused", "masked"}:
        return None
    name, weight_bytes, arithmetic = _FORMATS[work.weights]
    curve = _of_backend(machine, EXPERTS, name, own=own)
    if curve is None:
        return None
    shape = work.shape
    hidden, inter, n, k = (float(np.max(shape[axis])) for axis in ("hidden", "inter", "n", "k"))
    share = n * k / (3.0 * hidden * inter)
    load = expected_load(work.rows_CX, shape["active_experts"], curve.curve.row_tile)
    chip = as_eight_bit(machine.chip, weight_bytes=weight_bytes, arithmetic=arithmetic)
    tokens_C = shape["tokens"] if work.variant == "fused" else 0.0
    layer_s_C = grouped_gemm_s(load, hidden, inter, chip=chip, curve=curve.curve, tokens=tokens_C)
    at = {"num_tokens": np.asarray(shape["tokens"])} if work.variant == "fused" else {}
    return made(curve, share * layer_s_C, share * curve.curve.floor_s, **at)


def served_product(work: Work, machine: Machine) -> Measured | None:
    """Return a product of FP4 weights."""
    curve = _of_backend(machine, "served_fp4", "")
    if curve is None or work.precision != "fp4" or work.shape["batch"] != 1:
        return None
    rows_C = np.maximum(work.shape["m"], 1e-9)
    n, k = float(np.max(work.shape["n"])), float(np.max(work.shape["k"]))
    _, weight_bytes, arithmetic = _FORMATS["fp4"]
    chip = as_eight_bit(machine.chip, weight_bytes=weight_bytes, arithmetic=arithmetic)
    seconds_C = gemm_s(rows_C, n, k, chip=chip, curve=curve.curve)
    full_C = np.ones_like(rows_C)
    return made(curve, seconds_C, curve.curve.floor_s, m=rows_C, n=n * full_C, k=k * full_C)


def served_decode(work: Work, machine: Machine) -> Measured | None:
    """Return the decode attention of grouped queries, by the bytes of the cache that it reads."""
    if work.shape["latent"] or work.variant == "sparse" or work.precision != "bf16":
        return None
    curve = _of_backend(machine, "served_decode", "fp8" if work.cache == "fp8" else "bfloat16")
    if curve is None:
        return None
    batch_C = np.maximum(work.shape["sequences"], 1e-9)
    seconds_C = elementwise_s(work.hbm_bytes_C, chip=machine.chip, curve=curve.curve)
    return made(curve, seconds_C, curve.curve.floor_s, batch_size=batch_C, kv_len=work.shape["kv_tokens"] / batch_C)


def served_latent_decode(work: Work, machine: Machine) -> Measured | None:
    """Return the decode attention of a latent cache, in the number format of the cache."""
    curve = machine.fitted.get(("served_mla", "fp8" if work.cache == "fp8" else "bfloat16"))
    if curve is None:
        return None
    shape = work.shape
    batch_C = np.maximum(shape["sequences"], 1e-9)
    kv_C = np.maximum(shape["kv_tokens"] / batch_C, 1.0)
    heads, queries = float(np.max(shape["heads"])), float(np.max(shape["queries"]))
    seconds_C = mla_decode_s(heads, queries, batch_C, kv_C, chip=machine.chip, curve=curve.curve)
    rows_C = np.full_like(batch_C, heads * queries)  # verifying drafts is more rows, as more heads are
    return made(curve, seconds_C, curve.curve.floor_s, batch_size=batch_C, kv_len=kv_C, num_heads=rows_C)


def _of_backend(machine: Machine, family: str, group: str, *, own: bool = False) -> FittedCurve | None:
    names = (machine.backend,) if own else (machine.backend, *_BACKENDS)
    return first_of(machine, *((family, f"{name}|{group}" if group else name) for name in names))
