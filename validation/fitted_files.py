"""fitted.json of several machines: written whole or not at all, and compared with those that ship."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hw_profiles.fitted import FITTED_FILE
from simulator.report.replacing import replacing

SIGNIFICANT_DIGITS = 6


def write_fitted(fitted: Mapping[str, Mapping[str, Any]], out: Path) -> list[Path]:
    """Write `<machine>/fitted.json` under `out` for every machine and return the paths; OSError where it cannot be."""
    paths = []
    for machine, content in fitted.items():
        path = out / machine / FITTED_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(json.dumps(content, indent=1, sort_keys=True) + "\n")
        paths.append(path)
    return paths


def differences(fresh: object, shipped: object, where: str = "") -> Iterator[str]:
    """Yield, one line each, where two contents differ after rounding numbers to six significant digits."""
    if isinstance(fresh, Mapping) and isinstance(shipped, Mapping):
        for key in sorted({*fresh, *shipped}):
            yield from differences(fresh.get(key), shipped.get(key), f"{where}/{key}" if where else str(key))
    elif isinstance(fresh, list | tuple) and isinstance(shipped, list | tuple) and len(fresh) == len(shipped):
        for position, (one, other) in enumerate(zip(fresh, shipped, strict=True)):
            yield from differences(one, other, f"{where}[{position}]")
    elif _rounded(fresh) != _rounded(shipped):
        yield f"{where}: fitted here {_shown(fresh)}, shipped {_shown(shipped)}"


def _rounded(value: object) -> object:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if isinstance(value, float | int) else value


def _shown(value: object) -> str:
    if isinstance(value, Mapping | list | tuple):
        return f"{len(value)} entries"
    return "nothing" if value is None else f"{_rounded(value)}"
