"""Whole layers that `longsim measure` timed, predicted: each row as the step of work that it was, simulated.

What is predicted from: the model, the batch, the order, and the number of rows that the router was seen to dispatch;
never a time of the layer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from hw_profiles.faults import Fault, InputFaults
from hw_profiles.fitted import Fitted
from hw_profiles.loader import load_curves, load_profile
from hw_profiles.schema import HardwareProfile
from simulator.metrics import layer_s
from simulator.simulate import Run, simulate
from validation.machine_fit import FAMILY
from validation.measurements import Measurement
from workloads.batch import Batch, FfnExperts, Precision, RoutingSpec
from workloads.layout import Layout
from workloads.lower import lower
from workloads.model import ModelSpec
from workloads.step import StepSpec

SCHEDULE_OF: Mapping[str, str] = {"in_turn": "sequential", "sbo": "sbo_one_stream", "two_stream": "two_stream"}
SEEDS = range(5)  # draws of the routing: a layer's time is the median over them
_SPEC = TypeAdapter(ModelSpec)


@dataclass(frozen=True, kw_only=True)
class Target:
    """The machine that predicts: its profile with its fitted curves."""

    profile: HardwareProfile
    fitted: Fitted


def target_of(profile: str) -> Target:
    """Return the machine that predicts; InputFaults for a profile without curves of its own measurements."""
    target = Target(profile=load_profile(profile), fitted=load_curves(profile))
    if not any(family == FAMILY for family, _ in target.fitted):
        raise InputFaults([Fault(field="--profile", got=f"{profile!r}, without curves of PyTorch kernels",
                                 allowed="a profile directory that `longsim calibrate MEASURED` wrote",
                                 remedy="measure kernels and calibrate first")])  # fmt: skip
    return target


def spec_of(meta: Mapping[str, Any], where: str) -> ModelSpec:
    """Return the model that was measured, from meta.json; InputFaults where that holds none."""
    try:
        return _SPEC.validate_python(meta.get("subject", {}).get("spec"))
    except ValidationError as error:
        field, got = f"{where}/meta.json: subject.spec", f"{error.error_count()} faults"
        allowed = "the model as longsim measure writes it"
        raise InputFaults([Fault(field=field, got=got, allowed=allowed, remedy="measure again")]) from error


def step_of(row: Measurement, spec: ModelSpec, seed: int = 0) -> StepSpec:
    """Return the step of work that a whole-layer row timed."""
    shape = row.shape
    new, context, ranks = int(shape["new"]), int(shape["context"]), int(shape.get("ranks", 1))
    prefill = new == context
    no_zero = shape.get("zero", "skip") == "none"
    dtype: Any = row.dtype
    return StepSpec(
        model=replace(spec, n_layers=1, mtp=None), n_gpus=ranks, devices_per_node=1,
        phase="prefill" if prefill else "decode", layout=Layout(ep=ranks), kernels="torch", parts=("layers",),
        batch=Batch(sequences_per_gpu=float(shape["batch"]), context_tokens=0 if prefill else context - new,
                    prompt_tokens=new if prefill else 0),
        routing=RoutingSpec(draw="sample", zero_experts="none" if no_zero else "skip",
                            ffn_experts=FfnExperts(mean=_ffn_experts(row, spec))),
        precision=Precision(weights=dtype, attention_weights=dtype, attention=dtype, kv=dtype, dispatch=dtype,
                            combine=dtype),
        seed=seed,
    )  # fmt: skip


def _ffn_experts(row: Measurement, spec: ModelSpec) -> float:
    """FFN experts per token: as dispatched where the row holds it, else as an even choice over the pool gives."""
    tokens = float(row.shape["batch"]) * float(row.shape["new"])
    if "rows" in row.outcome:
        return float(row.outcome["rows"]) / tokens
    moe = spec.moe
    return moe.top_k * moe.n_routed_experts / (moe.n_routed_experts + moe.n_zero_experts)


def run_of(row: Measurement, spec: ModelSpec, target: Target, seed: int = 0) -> Run:
    """Return the simulated run of the step that a row timed, under the row's order."""
    graph = lower(step_of(row, spec, seed), SCHEDULE_OF[str(row.shape["order"])])
    return simulate(graph, target.profile, launch="eager", fitted=target.fitted, backend="torch")


def predict_layer_s(row: Measurement, spec: ModelSpec, target: Target) -> float:
    """Return the predicted seconds of the whole layer: median over draws of the routing."""
    return median(layer_s(run_of(row, spec, target, seed).timeline) for seed in SEEDS)


def extrapolated_share(timeline: pd.DataFrame) -> float:
    """Return the share of the time of a layer's ops whose curve was asked outside the range that was measured."""
    inside = timeline[timeline["layer"] >= 0]
    seconds = inside["end_s"] - inside["start_s"]
    return float(seconds[inside["extrapolated"]].sum() / seconds.sum())


def predicted_rows(rows: Sequence[Measurement], spec: ModelSpec, target: Target) -> pd.DataFrame:
    """Return one row per whole-layer measurement: its shape, order, measured_s, predicted_s, error (signed), spread,
    and the extrapolated share of what was predicted."""
    records = []
    for row in rows:
        timelines = [run_of(row, spec, target, seed).timeline for seed in SEEDS]
        predicted_s = median(layer_s(timeline) for timeline in timelines)
        outside = median(extrapolated_share(timeline) for timeline in timelines)
        records.append({**compared(row, predicted_s), "extrapolated": outside})
    return pd.DataFrame(records)


def compared(row: Measurement, predicted_s: float) -> dict[str, Any]:
    """Return a whole-layer row beside its prediction: shape, order, measured_s, predicted_s, error (signed), spread."""
    shape = {name: row.shape.get(name, "") for name in ("batch", "new", "context", "ranks", "zero", "order")}
    return {
        **shape, "dtype": row.dtype, "measured_s": row.median_s, "predicted_s": predicted_s,
        "error": predicted_s / row.median_s - 1.0, "spread": row.spread, "marked": row.marked,
    }  # fmt: skip
