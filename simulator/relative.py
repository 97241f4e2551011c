"""Settings relative to what stands in a question: `2x`, `0.5x`, `+30%`, `-10%`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hw_profiles.faults import Fault, InputFaults
from hw_profiles.provenance import value_at
from simulator.question import Question

_TIMES = re.compile(r"(\d+(?:\.\d+)?)x")
_MORE = re.compile(r"([+-]\d+(?:\.\d+)?)%")


def absolute(settings: Sequence[str], before: Question) -> list[str]:
    """Return the settings with every relative value reckoned from the value in `before` (whole where that is whole);
    InputFaults for keys that hold no number there."""
    found, faults = [], []
    for setting in settings:
        key, _, text = (part.strip() for part in setting.partition("="))
        factor = _factor(text)
        value = None if factor is None else value_of(before, key)
        if factor is None or (key.startswith("traffic.") and before.traffic is None):
            found.append(setting)  # whoever loads the question says that there is no traffic
        elif isinstance(value, bool) or not isinstance(value, int | float):
            faults.append(_no_number(key, text, value))
        else:
            scaled = value * factor
            found.append(f"{key}={round(scaled) if isinstance(value, int) else scaled!r}")
    if faults:
        raise InputFaults(faults)
    return found


def _factor(text: str) -> float | None:
    if times := _TIMES.fullmatch(text):
        return float(times[1])
    more = _MORE.fullmatch(text)
    return 1.0 + float(more[1]) / 100.0 if more else None


def value_of(question: Question, key: str) -> Any:  # noqa: ANN401 (whatever stands there)
    """Return the value of a key in a question, the machine's or the model's own where it is overridden by name; None
    where nothing stands."""
    table, _, path = key.partition(".")
    records = {"machine_overrides": question.scenario.profile, "model_overrides": question.scenario.model_spec}
    try:
        return value_at(records[table], path) if table in records else _at(question.tables, key)
    except (AttributeError, KeyError, TypeError):
        return None


def _at(tables: Any, key: str) -> Any:  # noqa: ANN401 (nested tables)
    for part in key.split("."):
        tables = tables[part] if isinstance(tables, Mapping) else None
    return tables


def _no_number(key: str, text: str, value: object) -> Fault:
    got = f"{text} of {value!r}" if value is not None else f"{text} of nothing: no value stands there"
    remedy = "prompts of requests: traffic.prompt_scale" if key == "traffic.prompt" else "write the value itself"
    return Fault(field=f"--set {key}", got=got, allowed="2x or +30% of a number that stands there", remedy=remedy)
