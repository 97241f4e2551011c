"""Published single figures: read, and what a curve says about one of them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hw_profiles.curves.base import Chip
from hw_profiles.curves.records import AnyCurve, from_record
from hw_profiles.faults import Fault, InputFaults
from validation.chips import CHIPS

NEEDED = ("id", "kind", "system", "hardware", "quantity", "value", "unit", "conditions", "confidence", "source", "gate")
MACHINES = {"H100": "h100_sxm", "H200": "h200_sxm", "H800": "h800_sxm", "H20": "h20", "GB200": "gb200_nvl72"}
UNIT_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
UNIT_RATE = {"TFLOPS": 1e12, "GB/s": 1e9}

Point = Mapping[str, Any]


class NotPredictableError(Exception):
    """No curve answers this point; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Seconds [s] of a point, the amount behind a rate (FLOPs or bytes; 0 where a time was published), and its basis.

    `carried`: the curve was fitted on another machine; `note`: what else the reader has to know.
    """

    seconds: float
    amount: float = 0.0
    curve: str
    carried: bool = False
    note: str = ""

    def in_unit(self, unit: str) -> float:
        """Return the prediction in the unit of the point."""
        if unit in UNIT_S:
            return self.seconds / UNIT_S[unit]
        if unit in UNIT_RATE and self.amount:
            return self.amount / self.seconds / UNIT_RATE[unit]
        message = f"no rule for the unit {unit}"
        raise NotPredictableError(message)


def read_points(path: Path) -> list[Point]:
    """Return the points of a JSON file; raise InputFaults naming every point without a needed key."""
    try:
        points = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputFaults([_fault(str(path), str(error), "a JSON list of points")]) from error
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise InputFaults([_fault(str(path), "something else", "a JSON list of points")])
    faults = [
        _fault(f"{path}: point {position + 1}", f"nothing under {', '.join(missing)}", ", ".join(NEEDED))
        for position, point in enumerate(points)
        if (missing := [key for key in NEEDED if key not in point])
    ]
    if faults:
        raise InputFaults(faults)
    return points


def _fault(field: str, got: str, allowed: str) -> Fault:
    return Fault(field=field, got=got, allowed=allowed, remedy="take the file as published")


def machine_of(point: Point) -> str:
    """Return our name of the point's machine; NotPredictableError for others."""
    word = re.match(r"(?:DGX )?([A-Z]+\d+[A-Z]?)", str(point["hardware"]))
    name = MACHINES.get(word.group(1)) if word else None
    if name is None:
        message = f"no fitted machine is {point['hardware']}"
        raise NotPredictableError(message)
    return name


def chip_of(point: Point) -> Chip:
    """Return the datasheet limits of the point's machine, with fewer SMs where the point says "112 of 132 SMs"."""
    chip = CHIPS[machine_of(point)]
    left = re.search(r"\((\d+) of (\d+) SMs\)", str(point["hardware"]))
    if left is None:
        return chip
    share = int(left.group(1)) / int(left.group(2))
    peaks = {precision: rate * share for precision, rate in chip.peak_flops_per_s.items()}
    return replace(chip, n_sms=int(left.group(1)), peak_flops_per_s=peaks)


def curve_of(
    fitted: Mapping[str, Any], family: str, group: str, machine: str, *others: str
) -> tuple[AnyCurve, str, bool]:
    """Return the curve of that machine, else of the first of `others` that has one: curve, its name, carried or not."""
    for name in (machine, *others):
        record = fitted.get(name, {}).get("families", {}).get(family, {}).get(group)
        if record is not None:
            return from_record(record), f"{name}: {family}: {group}", name != machine
    message = f"no curve of {family}, {group} for {machine}"
    raise NotPredictableError(message)


def condition(point: Point, name: str) -> float:
    """Return a number of the point's conditions; NotPredictableError where it has none."""
    value = point["conditions"].get(name)
    if not isinstance(value, int | float):
        message = f"the point gives no {name}"
        raise NotPredictableError(message)
    return float(value)
