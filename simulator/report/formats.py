"""Quantities as people read them: three significant digits and the unit that fits."""

import math
from collections.abc import Callable, Mapping

_TIME_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
ABSENT = "–"
_DUST_S = 1e-12


def number_text(value: float) -> str:
    """`value` to three significant digits, but to the unit at least, thousands separated: 3,785, 28.6, 0.147."""
    if not math.isfinite(value):
        return ABSENT if math.isnan(value) else "∞"
    if value == 0:
        return "0"
    digits_after_point = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits_after_point) if abs(value) < 1000 else round(value)
    if 0 < abs(rounded) < 1e-4:
        return f"{value:.3g}"
    text = f"{rounded:,.{max(0, digits_after_point)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _scaled_text(value: float, units: tuple[tuple[float, str], ...], suffix: str) -> str:
    if not math.isfinite(value):
        return number_text(value)
    # 0.9995: what would round to 1,000 of one unit is 1 of the next
    scale, prefix = next((unit for unit in units if abs(value) >= 0.9995 * unit[0]), units[-1])
    return f"{number_text(value / scale)} {prefix}{suffix}".rstrip()


def time_text(seconds: float) -> str:
    """`seconds` [s] in s, ms, µs or ns: 28.6 ms; below a picosecond it is rounding, not time: 0 s."""
    return "0 s" if abs(seconds) < _DUST_S else _scaled_text(seconds, _TIME_UNITS, "")


def bytes_text(n_bytes: float) -> str:
    """`n_bytes` [B] in decimal units (GB is 1e9): 61.2 GB."""
    return _scaled_text(n_bytes, _PREFIXES, "B")


def flops_text(flops: float) -> str:
    """`flops` [FLOP] with a decimal prefix: 12.3 GFLOP."""
    return _scaled_text(flops, _PREFIXES, "FLOP")


def share_text(share: float) -> str:
    """`share` [fraction] in per cent: 74 %, and no "0 %" for what is not nothing."""
    if not math.isfinite(share):
        return ABSENT
    if 0 < abs(share) < 0.005:
        return f"{'' if share > 0 else '−'}<1 %"
    return f"{share * 100:.0f} %".replace("-", "−")


def money_text(dollars: float) -> str:
    """`dollars` [$], cents from one dollar on, below it three significant digits: $2.00, $0.100."""
    if not math.isfinite(dollars):
        return ABSENT
    if abs(dollars) >= 1 or dollars == 0:
        return f"${dollars:,.2f}"
    return f"${dollars:#.3g}" if abs(dollars) >= 1e-4 else f"${dollars:.3g}"


def signed(text: Callable[[float], str], value: float) -> str:
    """`value` through `text` with its sign before it: +1.2 ms, −3 %."""
    sign = "+" if value > 0 else "−" if value < 0 else "±"
    return sign + text(abs(value))


_TEXT_BY_UNIT: Mapping[str, Callable[[float], str]] = {
    "s": time_text,
    "B": bytes_text,
    "byte": bytes_text,
    "bytes": bytes_text,
    "FLOP": flops_text,
    "$": money_text,
    "share": share_text,
}


_PREFIXED_UNITS = ("B/s", "FLOP/s", "bit/s", "Hz")


def quantity_text(value: object, unit: str = "") -> str:
    """Any value of the record for display: numbers by their unit, text as it is, nothing as a dash."""
    if value is None:
        return ABSENT
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if unit in _PREFIXED_UNITS:
        return _scaled_text(float(value), _PREFIXES, unit)
    if unit in _TEXT_BY_UNIT:
        return _TEXT_BY_UNIT[unit](float(value))
    text = f"{value:,}" if isinstance(value, int) else number_text(value)
    return f"{text} {unit}".rstrip() if math.isfinite(value) else text
