"""Curves as plain records: what fitted.json holds, and back."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from hw_profiles.curves.all_to_all import LowLatencyCurve, NormalCurve
from hw_profiles.curves.batched_gemm import BatchedGemmCurve
from hw_profiles.curves.elementwise import ElementwiseCurve
from hw_profiles.curves.gemm import GemmCurve
from hw_profiles.curves.grouped_gemm import GroupedGemmCurve
from hw_profiles.curves.interference import Interference
from hw_profiles.curves.kernel import KernelCurve
from hw_profiles.curves.mla import MlaDecodeCurve, MlaPrefillCurve
from hw_profiles.curves.mla_block import MlaBlockCurve
from hw_profiles.curves.pipe import PipeCurve
from hw_profiles.faults import Fault, InputFaults

AnyCurve = Any  # one of the dataclasses below: a curve is whatever its family's predictor takes

CURVES: Mapping[str, type] = {
    curve.__name__: curve
    for curve in (
        GemmCurve, BatchedGemmCurve, MlaDecodeCurve, MlaPrefillCurve, MlaBlockCurve, GroupedGemmCurve,
        LowLatencyCurve, NormalCurve, PipeCurve, ElementwiseCurve, Interference, KernelCurve,
    )
}  # fmt: skip


def to_record(curve: AnyCurve) -> dict[str, Any]:
    """Return the curve as {"curve": class name, "coefficients": {...}}, ready for JSON."""
    return {"curve": type(curve).__name__, "coefficients": asdict(curve)}


def from_record(record: Mapping[str, Any], *, where: str = "fitted.json") -> AnyCurve:
    """Return the curve that `record` holds; raise `InputFaults` naming each unknown or missing coefficient."""
    name = str(record.get("curve", "nothing"))
    if name not in CURVES:
        raise InputFaults([Fault(field=f"{where}: curve", got=name, allowed=", ".join(CURVES), remedy="fit it again")])
    values = record.get("coefficients", {})
    known = {field.name for field in fields(CURVES[name])}
    faults = [
        Fault(field=f"{where}: {name}.{key}", got=state, allowed=", ".join(sorted(known)), remedy="fit it again")
        for keys, state in ((set(values) - known, "an unknown coefficient"), (known - set(values), "nothing"))
        for key in sorted(keys)
    ]
    if faults:
        raise InputFaults(faults)
    return CURVES[name](**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
