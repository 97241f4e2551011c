"""A profiler trace of a whole layer beside the simulated one: what every kind of op takes in both."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hw_profiles.faults import Fault, InputFaults
from simulator.metrics import device_times, time_metrics
from validation.layer_predictions import SCHEDULE_OF, Target, run_of
from validation.measurements import Measurement
from validation.traces.reader import read_trace
from validation.traces.steps import one_step, typical_step
from workloads.model import ModelSpec

WHOLE = ("batch", "new", "context", "ranks")
WORDS: Mapping[str, Collection[str]] = {"order": SCHEDULE_OF.keys(), "zero": ("skip", "none")}


@dataclass(frozen=True, kw_only=True)
class LayerTrace:
    """One recorded layer: what was run, its timeline, and the simulated one (one rank of each)."""

    row: Measurement
    measured: pd.DataFrame
    simulated: pd.DataFrame

    @property
    def kinds(self) -> list[dict[str, Any]]:
        """Seconds that each kind of op keeps a rank busy, measured and predicted, and the signed error."""
        measured, predicted = (time_metrics(t, device_times(t))["busy_s"] for t in (self.measured, self.simulated))
        return [
            {"kind": kind, "measured_s": measured.get(kind, 0.0), "predicted_s": predicted.get(kind, 0.0),
             "error": predicted.get(kind, 0.0) / measured[kind] - 1.0 if measured.get(kind) else None}
            for kind in dict.fromkeys([*measured, *predicted])
        ]  # fmt: skip


def read_layer_trace(path: Path, spec: ModelSpec, target: Target, rows: Sequence[Measurement]) -> LayerTrace:
    """Return the typical pass of a trace that `longsim measure --traces` recorded with `rows`, beside its prediction.

    Raises InputFaults for a file that is no such trace.
    """
    named = _row_of(path, rows[0].dtype)
    row = next((row for row in rows if row.shape == named.shape), named)  # which knows the rows it dispatched
    timeline = read_trace([path])
    measured = one_step(timeline, typical_step(timeline))
    simulated = run_of(row, spec, target).timeline
    inside = simulated[(simulated["layer"] >= 0) & (simulated["rank"] == 0)]
    first_s = inside["start_s"].min()
    return LayerTrace(
        row=row, measured=measured,
        simulated=inside.assign(start_s=inside["start_s"] - first_s, end_s=inside["end_s"] - first_s),
    )  # fmt: skip


def _row_of(path: Path, dtype: str) -> Measurement:
    """What a file's name says was run."""
    words = path.name.removesuffix(".gz").removesuffix(".json").split("-")[1:]
    said: Mapping[str, str] = dict(word.split("=", 1) for word in words if "=" in word)
    if not (
        all(said.get(name, "").isdigit() for name in WHOLE) and all(said.get(name) in WORDS[name] for name in WORDS)
    ):
        allowed, remedy = "a file of a measurement's traces folder", "record it with `longsim measure --traces`"
        raise InputFaults([Fault(field="--trace", got=repr(str(path)), allowed=allowed, remedy=remedy)])
    shape: dict[str, int | float | str] = {
        **{name: int(said[name]) for name in WHOLE},
        **{name: said[name] for name in WORDS},
    }
    return Measurement(suite="layers", kernel="layer", op="scmoe_layer", shape=shape, dtype=dtype, device="",
                       median_s=0.0, spread=0.0, n_repeats=0)  # fmt: skip
