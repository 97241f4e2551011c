"""The look all figures share. The page sets the colour of text, so that one figure serves light and dark."""

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
GRID = "rgba(128,138,148,0.25)"
EMPHASIS = "#C2185B"
"""Limits and the critical path: a magenta that no kind of op has, legible on white and on black."""
_BUTTON_TEXT, _BUTTON, _BUTTON_EDGE = "#1B2733", "#EEF2F5", "#B8C2CA"


def figure(traces: Sequence[object], *, height: int, **layout: object) -> go.Figure:
    """A figure of `traces` in the common look; `layout` goes over it."""
    base: dict[str, Any] = {
        "template": "none",
        "height": height,
        "font": {"family": FONT, "size": 13},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 12, "r": 20, "t": 12, "b": 44},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "rgba(128,138,148,0.8)", "activecolor": "#3D9BD9"},
        "hoverlabel": {"font": {"family": FONT, "size": 12}, "align": "left"},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "traceorder": "normal"},
    }
    shown = go.Figure(data=list(traces), layout=base | layout)
    shown.update_xaxes(gridcolor=GRID, zeroline=False, automargin=True)
    shown.update_yaxes(gridcolor=GRID, zeroline=False, automargin=True, ticks="", ticklabelstandoff=6)
    return shown


def plain(text: object) -> str:
    """`text` as plotly shows it letter by letter: plotly reads <b>, <a> and the like in every label."""
    return escape(str(text), quote=False)


def buttons(choices: list[dict[str, Any]], *, active: int) -> list[dict[str, Any]]:
    """One row of `choices` above the figure's left edge. They keep their own colours: plotly's highlight is light."""
    return [
        {
            "type": "buttons", "direction": "right", "active": active, "buttons": choices, "showactive": True,
            "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "pad": {"b": 26, "l": 0},
            "bgcolor": _BUTTON, "bordercolor": _BUTTON_EDGE, "font": {"color": _BUTTON_TEXT, "size": 12},
        }
    ]  # fmt: skip
