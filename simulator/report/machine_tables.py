"""A machine in tables: every figure with its source."""

import pandas as pd

from hw_profiles.checks import numbers_of
from hw_profiles.schema import HardwareProfile
from simulator.report.formats import quantity_text

_UNIT_BY_END = {
    "flops_per_s": "FLOP/s", "bytes_per_s": "B/s", "_bytes": "B", "_s": "s", "power_w": "W", "usd_per_hour": "$",
}  # fmt: skip


def figures_table(profile: HardwareProfile) -> pd.DataFrame:
    """Return one row per number of a profile: `figure` (dotted path), `value` (SI), `text`, `source`, `reference`."""
    rows = [
        {
            "figure": path,
            "value": float(number),
            "text": quantity_text(float(number), _unit(path)),
            "source": profile.provenance[path].source,
            "reference": profile.provenance[path].reference,
        }
        for path, number in numbers_of(profile)
    ]
    return pd.DataFrame(rows, columns=["figure", "value", "text", "source", "reference"])


def _unit(path: str) -> str:
    """Return the unit that the name of a figure ends with."""
    if path.startswith("device.peak_flops_per_s."):
        return "FLOP/s"
    return next((unit for end, unit in _UNIT_BY_END.items() if path.endswith(end)), "")
