"""Whole layers that were measured and never fitted, beside what the calibrated profile predicts for them.

Three things are judged: the time of a layer, what an overlapped order takes of the one in turn, and which order wins.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hw_profiles.faults import Fault, InputFaults
from validation.layer_predictions import predicted_rows, spec_of, target_of
from validation.layer_traces import LayerTrace, read_layer_trace
from validation.measurements import TABLE_FILE, Measurement, read_measurements, read_meta

POINT = ["batch", "new", "context", "ranks", "zero", "dtype"]
IN_TURN = "in_turn"
WORTH_AN_ORDER = 0.10  # orders that differ by less are called alike
NO_SIDE = 1e-3  # of a prediction that says: the same time; which side rounding puts it on means nothing
MANY_MARKED = 0.25  # share of rows in doubt that is worth a word
MUCH_BEYOND = 0.25  # share of the predicted time that is worth a word
FEWEST = 12  # cases below which a median says little; shown all the same


@dataclass(frozen=True, kw_only=True)
class LayerBars:
    """What must be reached: median and worst absolute error of layers, median error of the overlap ratio."""

    median: float
    worst: float | None
    ratio: float


BARS: Mapping[str, LayerBars] = {
    "cpu": LayerBars(median=0.15, worst=None, ratio=0.10),
    "cuda": LayerBars(median=0.05, worst=0.10, ratio=0.03),
}


def measured_layers(folder: Path) -> list[Measurement]:
    """Return the whole-layer rows of a folder that `longsim measure` wrote; InputFaults where it has none."""
    rows = [row for row in read_measurements(folder) if row.kernel == "layer" and row.op == "scmoe_layer"]
    if not rows:
        got = f"{str(folder)!r}, without whole layers in {TABLE_FILE}"
        raise InputFaults([Fault(field="--measured", got=got, allowed="a folder that holds some",
                                 remedy="measure with --suite layers or overlap")])  # fmt: skip
    return rows


def layers_document(profile: str, folder: Path) -> dict[str, Any]:
    """Return the suite as the JSON document of `validate layers --json`."""
    target, rows, meta = target_of(profile), measured_layers(folder), read_meta(folder)
    frame = predicted_rows(rows, spec_of(meta, str(folder)), target)
    runs = meta.get("runs") or [{}]
    device = "cuda" if "cuda" in runs[-1] else "cpu"
    document = judged(frame, device=device)
    return document | {"notes": [*document["notes"], *_beyond(frame)]}


def _beyond(frame: pd.DataFrame) -> Iterator[str]:
    """Yield how much was predicted from outside of what the profile was fitted on, where that is much."""
    share = float(frame["extrapolated"].median())
    if share > MUCH_BEYOND:
        yield (
            f"{share:.0%} of the predicted time lies outside what the profile was fitted on: it is of smaller sizes, "
            "or of another model or share of it"
        )


def layer_trace(profile: str, folder: Path, path: Path) -> LayerTrace:
    """Return a trace recorded with the measurements in `folder` beside what the profile predicts of the layer."""
    rows = measured_layers(folder)
    return read_layer_trace(path, spec_of(read_meta(folder), str(folder)), target_of(profile), rows)


def judged(frame: pd.DataFrame, *, device: str) -> dict[str, Any]:
    """Return rows, overlaps and their summary with verdicts, for predictions as `predicted_rows` makes them."""
    bars, overlaps = BARS[device], overlap_rows(frame)
    size = frame["error"].abs()
    summary: dict[str, Any] = {
        "n": len(frame), "median": float(size.median()), "worst": float(size.max()),
        "bias": float(frame["error"].median()), "noise": float(frame["spread"].median()),
        "bar": vars(bars), "n_overlaps": len(overlaps),
    }  # fmt: skip
    verdicts = [{"name": "layers, median error", "reached": summary["median"], "bar": bars.median}]
    if bars.worst is not None:
        verdicts.append({"name": "layers, worst error", "reached": summary["worst"], "bar": bars.worst})
    if overlaps:
        ratio_errors = pd.Series([abs(row["ratio_error"]) for row in overlaps])
        wrong = [row for row in overlaps if row["order_ok"] is False]
        verdicts.append({"name": "overlapped over in turn, median error", "reached": float(ratio_errors.median()),
                         "bar": bars.ratio})  # fmt: skip
        verdicts.append({"name": "orders that differ by over 10 % and come out wrong", "reached": float(len(wrong)),
                         "bar": 0.0})  # fmt: skip
    for verdict in verdicts:
        verdict["ok"] = verdict["reached"] <= verdict["bar"]
    return {"suite": "layers", "rows": frame.to_dict("records"), "overlaps": overlaps, "verdicts": verdicts,
            "summary": summary, "notes": list(_doubts(frame))}  # fmt: skip


def _doubts(frame: pd.DataFrame) -> Iterator[str]:
    """Yield what makes the verdicts worth less."""
    if len(frame) < FEWEST:
        yield f"only {len(frame)} layers: a median over fewer than {FEWEST} says little"
    n_marked = int((frame["marked"] != "").sum())
    if n_marked > MANY_MARKED * len(frame):
        yield (
            f"{n_marked} of {len(frame)} layers were not steady from repeat to repeat, or slowed down: shaped links, "
            "or other programs beside them; measure again on a quiet machine"
        )


def overlap_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return, for every batch that was run in several orders, what each takes of the one in turn, and whether the
    prediction puts it on the right side where the two differ by more than 10 %."""
    found: list[dict[str, Any]] = []
    for point, rows in frame.groupby(POINT, sort=False):
        in_turn = rows[rows["order"] == IN_TURN]
        if in_turn.empty:
            continue
        base = in_turn.iloc[0]
        for _, row in rows[rows["order"] != IN_TURN].iterrows():
            measured, predicted = (float(row[name] / base[name]) for name in ("measured_s", "predicted_s"))
            found.append(
                dict(zip(POINT, point, strict=True))
                | {"order": row["order"], "measured": measured, "predicted": predicted,
                   "ratio_error": predicted - measured, "order_ok": _same_side(measured, predicted)}
            )  # fmt: skip
    return found


def _same_side(measured: float, predicted: float) -> bool | None:
    """None where the orders are alike as measured; a prediction of the same time is on neither side."""
    if abs(measured - 1.0) <= WORTH_AN_ORDER:
        return None
    return abs(predicted - 1.0) > NO_SIDE and (measured < 1.0) == (predicted < 1.0)
