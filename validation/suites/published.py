"""Published single figures of kernels and collectives beside what the shipped curves predict for them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from validation.calibrate import PROFILES_DIR
from validation.kernels import read_fitted
from validation.point_kernels import predict_attention, predict_gemm
from validation.point_transfers import (
    OLD_NORMAL,
    predict_collective,
    predict_low_latency,
    predict_normal,
    predict_one_sided,
)
from validation.points import NotPredictableError, Point, Prediction, read_points

# What a kernel's version moves: DeepGEMM 7 to 31 % in six weeks (data README). A figure whose version is not that of
# the curve's table cannot be met closer than that, whatever the curve.
TOLERANCE = 0.31
PREDICTORS: Mapping[str, Callable[[Point, Mapping[str, Any]], Prediction]] = {
    "kernel_gemm": predict_gemm,
    "kernel_attention": predict_attention,
    "a2a_low_latency": predict_low_latency,
    "a2a_normal": predict_normal,
    "a2a_nvlink": predict_one_sided,
    "collective": predict_collective,
}


def published_document(points_file: Path) -> dict[str, Any]:
    """Return the suite as the JSON document of `validate published --json`; InputFaults for a file that is no such."""
    points, fitted = read_points(points_file), read_fitted(PROFILES_DIR)
    rows, skipped = [], []
    for point in points:
        if point["kind"] not in PREDICTORS:
            continue
        try:
            rows.append(_row(point, fitted))
        except NotPredictableError as reason:
            skipped.append({"id": point["id"], "kind": point["kind"], "reason": str(reason)})
    others = sum(point["kind"] not in PREDICTORS for point in points)
    return {
        "suite": "published", "rows": rows, "skipped": skipped, "summary": _summary(rows, len(skipped), others),
        "notes": [{"id": "tolerance", "text": f"judged to {TOLERANCE:.0%}: what a version of a kernel moves"}],
    }  # fmt: skip


def _row(point: Point, fitted: Mapping[str, Any]) -> dict[str, Any]:
    prediction = PREDICTORS[point["kind"]](point, fitted)
    predicted, reference = prediction.in_unit(point["unit"]), float(point["value"])
    error = predicted / reference - 1.0
    judged = bool(point["gate"]) and prediction.note != OLD_NORMAL
    what = "; ".join(text for text in (f"{point['system']}, {point['quantity']}", prediction.note) if text)
    return {
        "id": point["id"], "kind": point["kind"], "what": what, "machine": point["hardware"], "predicted": predicted,
        "reference": reference, "unit": point["unit"], "rel_error": error, "tolerance": TOLERANCE,
        "ok": abs(error) <= TOLERANCE if judged else None, "gate": bool(point["gate"]), "curve": prediction.curve,
        "extrapolated": prediction.carried, "confidence": point["confidence"], "source": point["source"],
    }  # fmt: skip


def _summary(rows: Sequence[Mapping[str, Any]], n_skipped: int, n_others: int) -> dict[str, Any]:
    judged = [row for row in rows if row["ok"] is not None]
    kinds = sorted({row["kind"] for row in judged})
    return {
        "n": len(judged), "n_ok": sum(row["ok"] for row in judged), "n_shown": len(rows), "n_skipped": n_skipped,
        "n_of_other_kinds": n_others,
        "by_kind": {kind: _errors([row["rel_error"] for row in judged if row["kind"] == kind]) for kind in kinds},
    }  # fmt: skip


def _errors(errors: Sequence[float]) -> dict[str, Any]:
    return {"n": len(errors), "median": float(np.median(np.abs(errors))), "bias": float(np.median(errors))}
