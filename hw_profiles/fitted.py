"""A machine's fitted curves: what stands in `fitted.json` beside its profile, and in `served.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hw_profiles.curves.records import AnyCurve, from_record
from hw_profiles.faults import Fault, InputFaults

FITTED_FILE = "fitted.json"
SERVED_FILE = "served.json"  # kernels as serving backends run them, and machines without published tables


@dataclass(frozen=True, kw_only=True)
class FittedCurve:
    """One curve with its standing: `residual_log_10_90`, the 10 and 90 % quantiles of log(measured / predicted) on
    rows outside the fit; `ranges`: axis to the least and largest value that was measured."""

    family: str
    group: str
    curve: AnyCurve
    residual_log_10_90: tuple[float, float] = (0.0, 0.0)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)


Fitted = Mapping[tuple[str, str], FittedCurve]


def load_fitted(path: Path) -> Fitted:
    """Return {(family, group): curve} of a fitted.json, empty where there is none; InputFaults if it cannot be used."""
    if not path.is_file():
        return {}
    try:
        families = json.loads(path.read_text(encoding="utf-8"))["families"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        fault = Fault(field=str(path), got=f"{type(error).__name__}: {error}", allowed="a file of longsim calibrate",
                      remedy="calibrate again, or delete it to fall back on rooflines")  # fmt: skip
        raise InputFaults([fault]) from error
    return {
        (family, group): FittedCurve(
            family=family,
            group=group,
            curve=from_record(record, where=str(path)),
            residual_log_10_90=tuple(record.get("residual_log_10_90", (0.0, 0.0))),
            ranges={axis: (low, high) for axis, (low, high) in record.get("range", {}).items()},
        )
        for family, groups in families.items()
        for group, record in groups.items()
    }
