"""What a study is, and how its records become results and panels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from simulator.report.study_figures import Curve, Panel
from validation.studies.plan import Plan

RESULT_COLUMNS = ("arm", "layer", "of", "quantity", "statistic", "mean", "low", "high", "n_seeds")
_LATE = 0.75  # of the steps: what comes after is taken as settled

Statistic = Literal["late", "first", "last", "wander"]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number of a run. `statistic`: mean over the last quarter of the steps (late), first or last record, or
    standard deviation over the records of the last quarter (wander). `layers`: each by itself, or their mean. `of`: a
    token class or domain, "" for all tokens."""

    quantity: str
    statistic: Statistic = "late"
    layers: Literal["mean", "each"] = "mean"
    of: str = ""


@dataclass(frozen=True, kw_only=True)
class View:
    """One panel: a quantity over the steps; `of` as in `Measure`; `levels`: dotted lines."""

    quantity: str
    title: str
    y_title: str
    of: str = ""
    levels: Sequence[float] = ()
    log_y: bool = False


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One panel: measures over a setting. `measures`: by the name that tells their curves apart, "" where there is one;
    `place`: (curve, x) of each arm that stands in it."""

    measures: Mapping[str, Measure]
    title: str
    x_title: str
    y_title: str
    place: Mapping[str, tuple[str, float]]
    log_x: bool = True
    log_y: bool = False


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What must hold in every layer and seed of an arm: `measure` within `tolerance` (relative) of `target`."""

    arm: str
    measure: Measure
    target: float
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class Study:
    """A question, the arms (plans) that answer it, what is read off and drawn, and what it can and cannot say.

    `traces`: name of a routing trace to record, and the arm whose first seed's model records it when it is trained."""

    name: str
    title: str
    question: str
    arms: Mapping[str, Plan]
    measures: Sequence[Measure]
    views: Sequence[View | Sweep]
    shows: Sequence[str]
    cannot: Sequence[str]
    bars: Sequence[Bar] = ()
    traces: Mapping[str, str] = field(default_factory=dict)


def results(study: Study, records: pd.DataFrame) -> pd.DataFrame:
    """Return RESULT_COLUMNS for every arm and measure: mean, least and most over the seeds.

    `records`: arm, seed, step, layer, of, quantity, value. A measure that an arm does not have is left out.
    """
    tables = [_spread(_per_seed(measure, records), measure) for measure in study.measures]
    return pd.concat(tables, ignore_index=True)[list(RESULT_COLUMNS)]


def _per_seed(measure: Measure, records: pd.DataFrame) -> pd.DataFrame:
    """arm, layer (-1: all together), seed, value of a measure."""
    own = records[(records["quantity"] == measure.quantity) & (records["of"] == measure.of)]
    if measure.layers == "mean":
        own = own.groupby(["arm", "seed", "step"], sort=False)["value"].mean().reset_index().assign(layer=-1)
    by = own.groupby(["arm", "layer", "seed"], sort=False)
    chosen = own
    if measure.statistic == "first":
        chosen = own[own["step"] == by["step"].transform("min")]
    elif measure.statistic == "last":
        chosen = own[own["step"] == by["step"].transform("max")]
    else:
        chosen = own[own["step"] > _LATE * by["step"].transform("max")]
    values = chosen.groupby(["arm", "layer", "seed"], sort=False)["value"]
    return (values.std() if measure.statistic == "wander" else values.mean()).reset_index()


def _spread(per_seed: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    spread = per_seed.groupby(["arm", "layer"], sort=False)["value"].agg(["mean", "min", "max", "count"]).reset_index()
    spread = spread.rename(columns={"min": "low", "max": "high", "count": "n_seeds"})
    return spread.assign(of=measure.of, quantity=measure.quantity, statistic=measure.statistic)


def verdicts(study: Study, records: pd.DataFrame) -> pd.DataFrame:
    """Return one row per bar and layer: arm, quantity, layer, target, tolerance, worst (of the seeds), ok."""
    rows: list[dict[str, object]] = []
    for bar in study.bars:
        per_seed = _per_seed(bar.measure, records)
        for layer, own in per_seed[per_seed["arm"] == bar.arm].groupby("layer"):
            worst = float(own["value"].to_numpy()[np.abs(own["value"] - bar.target).argmax()])
            rows.append({
                "arm": bar.arm, "quantity": bar.measure.quantity, "layer": layer, "target": bar.target,
                "tolerance": bar.tolerance, "worst": worst,
                "ok": abs(worst / bar.target - 1.0) <= bar.tolerance,
            })  # fmt: skip
    return pd.DataFrame(rows, columns=["arm", "quantity", "layer", "target", "tolerance", "worst", "ok"])


def panels(study: Study, records: pd.DataFrame) -> list[Panel]:
    """Return the panels of a study, those without anything to draw left out."""
    drawn = [
        _over_steps(view, records) if isinstance(view, View) else _over_setting(view, records) for view in study.views
    ]
    return [panel for panel in drawn if panel.curves]


def _over_steps(view: View, records: pd.DataFrame) -> Panel:
    own = records[(records["quantity"] == view.quantity) & (records["of"] == view.of)]
    curves = []
    for arm, of_arm in own.groupby("arm", sort=False):
        spread = of_arm.groupby("step")["value"].agg(["mean", "min", "max"])
        curves.append(_curve(str(arm), spread.index.tolist(), spread))
    return Panel(title=view.title, x_title="step", y_title=view.y_title, curves=curves, levels=view.levels,
                 log_y=view.log_y)  # fmt: skip


def _over_setting(sweep: Sweep, records: pd.DataFrame) -> Panel:
    curves = []
    for label, measure in sweep.measures.items():
        per_seed = _per_seed(measure, records)
        per_seed = per_seed[per_seed["arm"].isin(list(sweep.place))]
        places = [sweep.place[arm] for arm in per_seed["arm"]]
        placed = per_seed.assign(curve=[curve for curve, _ in places], x=[x for _, x in places])
        for name, own in placed.groupby("curve", sort=False):
            spread = own.groupby("x")["value"].agg(["mean", "min", "max"])
            curves.append(_curve(label or str(name), spread.index.tolist(), spread))
    return Panel(title=sweep.title, x_title=sweep.x_title, y_title=sweep.y_title, curves=curves, log_x=sweep.log_x,
                 log_y=sweep.log_y, marks=True)  # fmt: skip


def _curve(name: str, x: Sequence[float], spread: pd.DataFrame) -> Curve:
    return Curve(name=name, x=x, mean=spread["mean"].tolist(), low=spread["min"].tolist(), high=spread["max"].tolist())
