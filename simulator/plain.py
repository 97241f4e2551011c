"""Plain data, as JSON files and stores take it."""

import math
from collections.abc import Mapping, Sequence


def finite(value: object) -> object:
    """Return `value` as plain JSON data: tuples to lists, arrays' numbers to floats, infinities and NaN to null."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def flat(tables: Mapping[str, object], above: str = "") -> dict[str, object]:
    """Return nested tables as one, keys dotted: {"a": {"b": 1}} as {"a.b": 1}. Empty tables leave nothing."""
    found: dict[str, object] = {}
    for key, value in tables.items():
        found |= flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found
