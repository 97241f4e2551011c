"""Several answers side by side."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from simulator.answer import Answer
from simulator.report.formats import time_text
from simulator.report.kinds import in_order, style_of
from simulator.report.theme import figure, plain
from simulator.report.words import number_in

_MS_PER_S = 1e3
_LEGEND_GAP_PX = 110
_LEGEND_ROW_PX = 20  # where names are so long that each has a row
_POINT_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#A23B2A", "#3B4A8C", "#7A8C99")
_QUIET = "rgba(128,138,148,0.5)"


def comparison_figure(answers: Sequence[Answer]) -> go.Figure:
    """One bar per feasible answer: its step [ms] split into the critical path by kind, its TPOT beside."""
    feasible = [answer for answer in answers if answer.feasible]
    kinds = in_order(str(row["kind"]) for answer in feasible for row in answer.kinds)
    drawn = figure([_kind_bars(kind, feasible) for kind in kinds], height=180 + 46 * len(feasible), barmode="stack")
    drawn.update_layout(
        bargap=0.35, annotations=[_end_label(answer) for answer in feasible],
        legend={"y": -_LEGEND_GAP_PX / drawn.layout.height, "yanchor": "top"},
    )  # fmt: skip
    longest_ms = max((answer.metrics["step_s"] * _MS_PER_S for answer in feasible), default=1.0)
    drawn.update_xaxes(title={"text": "critical path of one step [ms]", "standoff": 8}, range=[0, 1.2 * longest_ms])
    names, labels = [plain(answer.name) for answer in feasible], [_row_label(answer) for answer in feasible]
    drawn.update_yaxes(autorange="reversed", showgrid=False, type="category", tickvals=names, ticktext=labels)
    return drawn


def _kind_bars(kind: str, answers: Sequence[Answer]) -> go.Bar:
    parts_s = [sum(float(row["critical_s"]) for row in answer.kinds if row["kind"] == kind) for answer in answers]
    style = style_of(kind)
    return go.Bar(
        name=plain(style.label), orientation="h", y=[plain(answer.name) for answer in answers],
        x=[part_s * _MS_PER_S for part_s in parts_s], customdata=[time_text(part_s) for part_s in parts_s],
        hovertemplate="<b>%{fullData.name}</b> in %{y}<br>%{customdata} of the critical path<extra></extra>",
        marker={"color": style.colour, "line": {"width": 0.5, "color": "rgba(255,255,255,0.7)"}},
    )  # fmt: skip


def _row_label(answer: Answer) -> str:
    tpot_s = number_in(answer.metrics, "tpot_s")
    return plain(answer.name) + (f"<br>TPOT {time_text(tpot_s)}" if tpot_s is not None else "")


def _end_label(answer: Answer) -> dict[str, Any]:
    path_s = sum(float(row["critical_s"]) for row in answer.kinds)
    return {
        "x": path_s * _MS_PER_S, "y": plain(answer.name), "xanchor": "left", "xshift": 6, "showarrow": False,
        "text": time_text(answer.metrics["step_s"]), "font": {"size": 12},
    }  # fmt: skip


def rates_figure(answers: Sequence[Answer], others: Sequence[Answer] = ()) -> go.Figure:
    """Throughput against speed for one user: tokens/s/GPU over tokens/s/user, one point per answer that has both;
    `others` in grey, without a legend of their own."""
    traces = [_point(position, *point) for position, point in enumerate(_rates(answers))]
    if others:
        traces.insert(0, _cloud(_rates(others)))
    drawn = figure(traces, height=360 + _LEGEND_ROW_PX * len(traces))
    drawn.update_xaxes(title={"text": "tokens/s/user", "standoff": 8})
    drawn.update_yaxes(title={"text": "tokens/s/GPU", "standoff": 8}, tickformat=",d")
    drawn.update_layout(legend={"y": -70 / drawn.layout.height, "yanchor": "top"})
    return drawn


def _rates(answers: Sequence[Answer]) -> list[tuple[str, float, float]]:
    return [
        (answer.name, per_user, per_gpu)
        for answer in answers
        if (per_user := number_in(answer.metrics, "tokens_per_s_per_user")) is not None
        and (per_gpu := number_in(answer.metrics, "tokens_per_s_per_gpu")) is not None
    ]


def _cloud(points: Sequence[tuple[str, float, float]]) -> go.Scatter:
    return go.Scatter(
        name=f"{len(points)} others", x=[x for _, x, _ in points], y=[y for _, _, y in points], mode="markers",
        text=[plain(name) for name, _, _ in points], marker={"color": _QUIET, "size": 8},
        hovertemplate="<b>%{text}</b><br>%{x:,.1f} tokens/s/user<br>%{y:,.0f} tokens/s/GPU<extra></extra>",
    )  # fmt: skip


def _point(position: int, name: str, per_user: float, per_gpu: float) -> go.Scatter:
    colour = _POINT_COLOURS[position % len(_POINT_COLOURS)]
    return go.Scatter(
        name=plain(name), x=[per_user], y=[per_gpu], mode="markers",
        marker={"color": colour, "size": 14, "symbol": position},
        hovertemplate="<b>%{fullData.name}</b><br>%{x:,.1f} tokens/s/user<br>%{y:,.0f} tokens/s/GPU<extra></extra>",
    )  # fmt: skip
