"""The figures of one answer beside its timeline: breakdown by kind, memory, what the critical path rests on."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from simulator.answer import Answer
from simulator.report.formats import bytes_text, share_text, time_text
from simulator.report.kinds import SOURCE_COLOURS, in_order, sources_in_order, style_of
from simulator.report.theme import EMPHASIS, figure, plain

_MS_PER_S = 1e3
_BYTES_PER_GB = 1e9
_BREAKDOWN_ROWS = (("busy", "busy_s"), ("exposed", "exposed_s"), ("critical path", "critical_s"))
_OTHER_COLOUR = "#8A9BA8"
_MEMORY_COLOURS = (
    "#0072B2", "#56B4E9", "#009E73", "#7FD1B5", "#E69F00", "#A9B4BC", "#3B4A8C", "#C7522A", "#CC79A7", "#F0E442",
)  # fmt: skip


def breakdown_figure(answer: Answer) -> go.Figure:
    """Stacked bars by kind [ms], means over devices: busy, exposed communication, share of the critical path."""
    by_kind = {str(row["kind"]): row for row in answer.kinds}
    traces = [_kind_segment(kind, by_kind[kind]) for kind in in_order(by_kind)]
    drawn = figure(traces, height=320, barmode="stack", bargap=0.35)
    drawn.update_yaxes(autorange="reversed", showgrid=False)
    drawn.update_xaxes(title={"text": "time per step [ms]", "standoff": 8})
    drawn.update_layout(legend={"y": -0.32, "yanchor": "top"})
    return drawn


def _kind_segment(kind: str, row: Mapping[str, Any]) -> go.Bar:
    values_s = [float(row[column]) for _, column in _BREAKDOWN_ROWS]
    rows = [name for name, _ in _BREAKDOWN_ROWS]
    segment = _segment(style_of(kind).label, style_of(kind).colour, [value_s * _MS_PER_S for value_s in values_s], rows)
    segment.customdata = [time_text(value_s) for value_s in values_s]
    segment.hovertemplate = "<b>%{fullData.name}</b><br>%{y}: %{customdata}<extra></extra>"
    return segment


def _single_bar(name: str, colour: str, length: float, hover: str) -> go.Bar:
    segment = _segment(name, colour, [length], [""])
    segment.hovertemplate = f"<b>%{{fullData.name}}</b>: {hover}<extra></extra>"
    return segment


def _segment(name: str, colour: str, lengths: Sequence[float], rows: Sequence[str]) -> go.Bar:
    marker = {"color": colour, "line": {"width": 0.5, "color": "rgba(255,255,255,0.7)"}}
    return go.Bar(name=plain(name), orientation="h", x=list(lengths), y=list(rows), marker=marker)


def memory_figure(answer: Answer) -> go.Figure:
    """One stacked bar: what lies in the memory of the fullest device [GB], the limit as a line."""
    colours = itertools.cycle(_MEMORY_COLOURS)
    items = answer.memory_bytes.items()
    traces = [
        _single_bar(item, colour, n_bytes / _BYTES_PER_GB, bytes_text(n_bytes))
        for (item, n_bytes), colour in zip(items, colours, strict=False)
    ]
    drawn = figure(traces, height=210, barmode="stack", bargap=0.3)
    drawn.update_xaxes(title={"text": "memory of the fullest device [GB]", "standoff": 8}, rangemode="tozero")
    drawn.update_yaxes(showgrid=False, showticklabels=False)
    drawn.update_layout(legend={"y": -0.62, "yanchor": "top"}, margin={"l": 12, "r": 20, "t": 34, "b": 44})
    limit_gb = answer.memory_limit_bytes / _BYTES_PER_GB
    drawn.add_vline(x=limit_gb, line={"color": EMPHASIS, "width": 2})
    drawn.add_annotation(
        text=f"limit {bytes_text(answer.memory_limit_bytes)}", x=limit_gb, xanchor="right", y=1, yref="paper",
        yanchor="bottom", showarrow=False,
    )  # fmt: skip
    return drawn


def sources_figure(answer: Answer) -> go.Figure:
    """One stacked bar of the critical path by where its costs come from [%], the surest first."""
    shares = answer.critical_path_by_source
    traces = [
        _single_bar(
            source, SOURCE_COLOURS.get(source, _OTHER_COLOUR), shares[source] * 100,
            f"{share_text(shares[source])} of the critical path",
        )
        for source in sources_in_order(shares)
    ]  # fmt: skip
    drawn = figure(traces, height=190, barmode="stack", bargap=0.3)
    drawn.update_xaxes(title={"text": "share of the critical path [%]", "standoff": 8}, range=[0, 100])
    drawn.update_yaxes(showgrid=False, showticklabels=False)
    drawn.update_layout(legend={"y": -0.68, "yanchor": "top"})
    return drawn
