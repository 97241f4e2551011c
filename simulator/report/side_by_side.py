"""A measured timeline above a simulated one: same axis of time, same colours, one table of metrics."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from simulator.metrics import device_times, time_metrics
from simulator.report.document import write_document
from simulator.report.formats import ABSENT, quantity_text, share_text
from simulator.report.kinds import in_order, style_of
from simulator.report.markup import paragraph, plot, section, table
from simulator.report.rank_choice import ShownRank, shown_ranks
from simulator.report.timeline_figure import timeline_figure
from simulator.report.vocabulary import metric_word

_MOST_OPS = 20_000
"""Drawn of each timeline: a browser still moves a figure of them smoothly, and a page stays near 10 MB."""
_LONGEST_NAME = 90  # kernels' names are whole C++ signatures
_METRICS = ("step_s", "layer_s", "comm_s", "exposed_comm_s", "overlap_ratio", "wait_s")
_CAPTION = (
    "One bar per op: blue, green and grey compute; red, orange and yellow communicate. Numbers above the rows mark "
    "where a layer of the first timeline starts. Drag to zoom in, drag the axis to move, double-click to return, click "
    "the legend to hide a kind."
)


def side_by_side(
    measured: pd.DataFrame, simulated: pd.DataFrame | None, path: str | Path, title: str, notes: Sequence[str] = ()
) -> None:
    """Write both timelines (columns of simulator/timeline.py) and their metrics to `path`, one HTML file.

    Each starts at its own 0. Without `simulated` the measured one stands alone. `notes`: sentences under the title.
    Raises OSError where `path` cannot be written; the file appears whole or not at all.
    """
    timelines = {"measured": measured} | ({} if simulated is None else {"simulated": simulated})
    metrics = {name: _metrics(timeline) for name, timeline in timelines.items()}
    caption = " ".join([_CAPTION, *(_cut_note(name, timeline) for name, timeline in timelines.items())]).rstrip()
    headings = {"metric": "metric", **{name: name for name in metrics}}
    headings |= {"ratio": "simulated / measured"} if simulated is not None else {}
    numeric = [name for name in headings if name != "metric"]
    parts = [
        *(paragraph(note) for note in notes),
        section("Timelines" if simulated is not None else "Timeline", plot(_figure(timelines), caption=caption,
                                                                          tools=True)),
        section("Metrics", table(pd.DataFrame(list(_rows(metrics))), headings, numeric=numeric)),
    ]  # fmt: skip
    write_document(path, title=title, parts=parts)


def _metrics(timeline: pd.DataFrame) -> dict[str, Any]:
    """Without what the timeline cannot tell: no share of no communication, no layer that ends before its neighbour."""
    metrics = time_metrics(timeline, device_times(timeline))
    untold = [
        *(["overlap_ratio"] if not metrics["comm_s"] else []),
        *(["layer_s"] if metrics["layer_s"] <= 0.0 else []),  # several passes: layers run more than once
    ]
    return {name: value for name, value in metrics.items() if name not in untold}


def _figure(timelines: Mapping[str, pd.DataFrame]) -> Any:  # noqa: ANN401 (plotly has no types)
    """Both in one figure: the ranks of the second are numbered behind those of the first."""
    tables, ranks = [], list[ShownRank]()
    for name, timeline in timelines.items():
        first = 1 + max((rank.rank for rank in ranks), default=-1)
        shown = timeline.nsmallest(_MOST_OPS, "start_s")
        ranks += [
            replace(rank, label=f"{name}, {rank.label}", rank=rank.rank + first) for rank in shown_ranks(timeline)
        ]
        tables.append(shown.assign(rank=shown["rank"] + first, op=shown["op"].astype(str).str.slice(0, _LONGEST_NAME)))
    words = {column: pd.concat([one[column].astype(str) for one in tables]) for column in ("stream", "kind", "source")}
    return timeline_figure(pd.concat(tables).assign(**words), ranks=ranks)


def _cut_note(name: str, timeline: pd.DataFrame) -> str:
    return (
        f"Of the {len(timeline):,} {name} ops the first {_MOST_OPS:,} are drawn." if len(timeline) > _MOST_OPS else ""
    )


def _rows(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    for name in _METRICS:
        word = metric_word(name)
        yield _row(word.label, {key: one.get(name) for key, one in metrics.items()}, word.unit)
    for kind in in_order(kind for one in metrics.values() for kind in one["busy_s"]):
        yield _row(f"busy: {style_of(kind).label}", {key: one["busy_s"].get(kind) for key, one in metrics.items()}, "s")


def _row(label: str, values: Mapping[str, float | None], unit: str) -> dict[str, str]:
    texts = {name: ABSENT if value is None else quantity_text(value, unit) for name, value in values.items()}
    measured, simulated = values.get("measured"), values.get("simulated")
    known = measured and simulated is not None and unit == "s"
    return {"metric": label, **texts, "ratio": share_text(simulated / measured) if known else ABSENT}  # type: ignore[operator]
