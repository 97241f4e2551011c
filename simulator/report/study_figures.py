"""Figures of experiments: curves with a band for the spread over repeats, one panel below the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from simulator.report.theme import EMPHASIS, GRID, figure, plain

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#C7522A", "#3B4A8C", "#7FD1B5")
_DASHES = ("solid", "dash", "dot")
_PANEL_PX, _FRAME_PX = 230, 90
_BAND_OPACITY = 0.15


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Values over `x`: `mean`, with `low` and `high` of the repeats. Curves of one `name` share colour and legend."""

    name: str
    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One set of axes. `levels`: dotted lines at these heights; `marks`: draw points (x is a setting, no time)."""

    title: str
    x_title: str
    y_title: str
    curves: Sequence[Curve]
    levels: Sequence[float] = ()
    log_x: bool = False
    log_y: bool = False
    marks: bool = False


def panels_figure(panels: Sequence[Panel]) -> go.Figure:
    """Draw `panels` below one another with one legend."""
    height = _PANEL_PX * len(panels) + _FRAME_PX
    drawn = make_subplots(
        rows=len(panels), cols=1, subplot_titles=[plain(panel.title) for panel in panels],
        vertical_spacing=min(72 / height, 0.9 / len(panels)),
    )  # fmt: skip
    looks: dict[str, tuple[str, str]] = {}
    for row, panel in enumerate(panels, start=1):
        for curve in panel.curves:
            is_new = curve.name not in looks
            look = looks.setdefault(curve.name, _look(len(looks)))
            for trace in _traces(panel, curve, look, in_legend=is_new):
                drawn.add_trace(trace, row=row, col=1)
        for level in panel.levels:
            drawn.add_hline(y=level, line={"color": EMPHASIS, "dash": "dot", "width": 1.5}, row=row, col=1)
    drawn.update_layout(figure([], height=height).layout)
    top_px = 24 + 22 * (1 + len(looks) // 4)
    drawn.update_layout(
        margin={"l": 12, "r": 20, "t": top_px + 26, "b": 44}, legend={"y": 1 + 26 / height, "yanchor": "bottom"}
    )
    for row, panel in enumerate(panels, start=1):
        drawn.update_xaxes(
            title={"text": plain(panel.x_title), "standoff": 4}, type="log" if panel.log_x else "linear",
            exponentformat="power", gridcolor=GRID, zeroline=False, row=row, col=1,
        )  # fmt: skip
        if panel.marks:
            settings = sorted({x for curve in panel.curves for x in curve.x})
            texts = [f"{x:g}" for x in settings]
            drawn.update_xaxes(tickvals=settings, ticktext=texts, tickangle=0, row=row, col=1)
        drawn.update_yaxes(
            title={"text": plain(panel.y_title)}, type="log" if panel.log_y else "linear", exponentformat="power",
            gridcolor=GRID, zeroline=False, automargin=True, row=row, col=1,
        )  # fmt: skip
    drawn.update_annotations(x=0, xanchor="left", font_size=13)
    return drawn


def _look(number: int) -> tuple[str, str]:
    """Colour and dash of a curve: dashes tell apart what has one colour."""
    return COLOURS[number % len(COLOURS)], _DASHES[number // len(COLOURS) % len(_DASHES)]


def _traces(panel: Panel, curve: Curve, look: tuple[str, str], *, in_legend: bool) -> Sequence[go.Scatter]:
    colour, dash = look
    band = go.Scatter(
        x=[*curve.x, *reversed(curve.x)], y=[*curve.high, *reversed(curve.low)], fill="toself", fillcolor=colour,
        opacity=_BAND_OPACITY, line={"width": 0}, mode="lines", hoverinfo="skip", showlegend=False,
        legendgroup=curve.name,
    )  # fmt: skip
    line = go.Scatter(
        x=list(curve.x), y=list(curve.mean), mode="lines+markers" if panel.marks else "lines", name=plain(curve.name),
        legendgroup=curve.name, showlegend=in_legend, line={"color": colour, "width": 2, "dash": dash},
        hovertemplate=f"%{{y:.4g}} at %{{x:.4g}}<extra>{plain(curve.name)}</extra>",
    )  # fmt: skip
    return band, line
