"""The answer as tidy tables with display texts beside the values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from simulator.answer import Answer
from simulator.report.formats import ABSENT, quantity_text, time_text
from simulator.report.kinds import in_order, style_of
from simulator.report.vocabulary import metric_word

METRIC_COLUMNS = ("metric", "label", "value", "text", "range", "definition")
ASSUMPTION_COLUMNS = ("name", "value", "source", "reference")
SCENARIO_COLUMNS = ("key", "value")
KIND_COLUMNS = ("kind", "label", "busy", "exposed", "critical", "n_ops")


def metrics_table(answer: Answer) -> pd.DataFrame:
    """One row per metric (METRIC_COLUMNS); a metric by tier has one row per tier, `bytes[nvlink]`.

    `busy_s` stands in `kinds_table`. `text` and `range` (low to high, where the answer has it) are for display.
    """
    rows = [_metric_row(name, item, value, answer) for name, item, value in _single_metrics(answer.metrics)]
    return pd.DataFrame(rows, columns=list(METRIC_COLUMNS))


def _single_metrics(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for name, value in metrics.items():
        if name == "busy_s":
            continue
        if isinstance(value, Mapping):
            yield from ((name, str(item), single) for item, single in value.items())
        else:
            yield name, "", value


def _metric_row(name: str, item: str, value: object, answer: Answer) -> dict[str, object]:
    word = metric_word(name)
    bounds = answer.interval.get(name) if not item else None
    return {
        "metric": f"{name}[{item}]" if item else name,
        "label": f"{word.label}, {item}" if item else word.label,
        "value": value,
        "text": quantity_text(value, word.unit),
        "range": " to ".join(quantity_text(bound, word.unit) for bound in bounds) if bounds else "",
        "definition": word.definition,
    }


def kinds_table(answer: Answer) -> pd.DataFrame:
    """One row per op kind (KIND_COLUMNS) with times as display texts, means over devices."""
    by_kind = {str(row["kind"]): row for row in answer.kinds}
    rows = [
        {
            "kind": kind,
            "label": style_of(kind).label,
            "busy": time_text(by_kind[kind]["busy_s"]),
            "exposed": time_text(by_kind[kind]["exposed_s"]),
            "critical": time_text(by_kind[kind]["critical_s"]),
            "n_ops": quantity_text(by_kind[kind]["n_ops"]),
        }
        for kind in in_order(by_kind)
    ]
    return pd.DataFrame(rows, columns=list(KIND_COLUMNS))


def assumptions_table(answer: Answer) -> pd.DataFrame:
    """One row per assumption (ASSUMPTION_COLUMNS) in the answer's order; `value` with its unit, for display."""
    rows = [
        (assumption.name, quantity_text(assumption.value, assumption.unit), assumption.source, assumption.reference)
        for assumption in answer.assumptions
    ]
    return pd.DataFrame(rows, columns=list(ASSUMPTION_COLUMNS))


def scenario_table(answer: Answer) -> pd.DataFrame:
    """One row per scenario key (SCENARIO_COLUMNS), nested keys dotted as `--set` takes them."""
    return pd.DataFrame(list(_dotted(answer.scenario, "")), columns=list(SCENARIO_COLUMNS))


def scenario_differences(answers: Sequence[Answer]) -> pd.DataFrame:
    """The keys in which the scenarios differ: `key` and one column per answer."""
    values = {answer.name: dict(_dotted(answer.scenario, "")) for answer in answers}
    keys = list(dict.fromkeys(key for column in values.values() for key in column))
    rows = [{"key": key} | {name: column.get(key, ABSENT) for name, column in values.items()} for key in keys]
    differing = [row for row in rows if len(set(list(row.values())[1:])) > 1]
    return pd.DataFrame(differing, columns=["key", *values])


def _dotted(scenario: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in scenario.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
