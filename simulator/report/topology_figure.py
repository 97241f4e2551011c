"""A fabric as a figure: devices at the bottom, the switches of each layer above, links coloured by tier."""

from collections import defaultdict
from collections.abc import Iterator
from math import log10

import plotly.graph_objects as go

from hw_profiles.topology.vocabulary import TIERS, Topology
from simulator.report.formats import bytes_text
from simulator.report.theme import figure
from simulator.report.topology_drawing import Drawing, Line, drawing_of

_COLOUR = {"nvlink": "#009E73", "pcie": "#CC79A7", "nic": "#0072B2", "spine": "#D55E00", "core": "#E69F00"}
_TIER_LABEL = {
    "nvlink": "NVLink", "pcie": "PCIe", "nic": "NIC and its cable", "spine": "leaf to spine", "core": "spine to core",
}  # fmt: skip
_LAYER_LABEL = {
    "node": "nodes", "device": "GPUs", "nvswitch": "NVSwitch", "bridge": "PCIe bridges", "root": "CPU sockets",
    "nic": "NICs", "leaf": "leaves", "spine": "spines", "core": "cores",
}  # fmt: skip
_SYMBOL = {"device": "square", "node": "square", "nvswitch": "hexagon", "nic": "circle"}
# Beside the lines: those of a NIC and of a leaf leave straight down, those of an NVSwitch fan out.
_TEXT_AT = {"device": "bottom center", "node": "bottom center", "nic": "bottom right", "leaf": "bottom right",
            "nvswitch": "middle right", "bridge": "middle right"}  # fmt: skip
_MARK = "#5B6B7A"
_LAYER_PX = 110
_MOST_LABELS = 20  # more would overlap: they are left to the pointer
_MANY_LINES = 300  # more are drawn thinner, or they become one surface


def topology_figure(topology: Topology) -> go.Figure:
    """Draw a topology (`hw_profiles.topology`): widths grow with the logarithm of the rate, marks speak on hover."""
    drawing = drawing_of(topology)
    layers = _layers(drawing)
    place = {
        mark: (_across(position, len(marks)), float(height))
        for height, marks in enumerate(layers.values())
        for position, mark in enumerate(marks)
    }
    traces = [*_line_traces(drawing, place), *_mark_traces(drawing, layers, place)]
    drawn = figure(
        traces, height=90 + _LAYER_PX * len(layers), legend={"orientation": "h", "x": 0, "y": -0.02, "yanchor": "top"}
    )
    drawn.update_xaxes(visible=False, range=[-0.02, 1.02])
    drawn.update_yaxes(
        tickvals=list(range(len(layers))), ticktext=[_layer_label(drawing, kind) for kind in layers], showgrid=False,
        range=[-0.6, len(layers) - 0.5],
    )  # fmt: skip
    return drawn


def _layers(drawing: Drawing) -> dict[str, list[int]]:
    """Return kind → its marks, from the bottom layer up."""
    layers: dict[str, list[int]] = defaultdict(list)
    for position, mark in enumerate(drawing.marks):
        layers[mark.kind].append(position)
    return layers


def _layer_label(drawing: Drawing, kind: str) -> str:
    """Return how many of a kind there are, drawn one by one or not."""
    return f"{_LAYER_LABEL[kind]} × {sum(mark.number for mark in drawing.marks if mark.kind == kind)}"


def _across(position: int, number: int) -> float:
    """Return where a mark stands from left (0) to right (1), each in the middle of its share."""
    return (position + 0.5) / number


def _line_traces(drawing: Drawing, place: dict[int, tuple[float, float]]) -> Iterator[go.Scatter]:
    """Yield one trace per tier and width, the first of each tier with its legend."""
    thinner = 2.0 if len(drawing.lines) > _MANY_LINES else 1.0
    for tier in TIERS:
        by_rate: dict[float, list[Line]] = defaultdict(list)
        for line in drawing.lines:
            if line.tier == tier:
                by_rate[line.bytes_per_s].append(line)
        for position, (rate, lines) in enumerate(sorted(by_rate.items())):
            ends = [(place[line.low], place[line.high]) for line in lines]
            yield go.Scatter(
                x=[x for low, high in ends for x in (low[0], high[0], None)],
                y=[y for low, high in ends for y in (low[1], high[1], None)],
                mode="lines", line={"color": _COLOUR[tier], "width": _width_px(rate) / thinner}, opacity=0.75,
                hoverinfo="skip", legendgroup=tier, showlegend=position == 0,
                name=f"{_TIER_LABEL[tier]}, {_rates(by_rate)} a line",
            )  # fmt: skip


def _rates(by_rate: dict[float, list[Line]]) -> str:
    low, high = (f"{bytes_text(rate)}/s" for rate in (min(by_rate), max(by_rate)))
    return low if low == high else f"{low} to {high}"


def _width_px(bytes_per_s: float) -> float:
    """1 px at 10 GB/s, 2 px more for each factor of ten."""
    return min(7.0, max(0.7, 1.0 + 2.0 * log10(max(bytes_per_s, 1.0) / 1e10)))


def _mark_traces(
    drawing: Drawing, layers: dict[str, list[int]], place: dict[int, tuple[float, float]]
) -> Iterator[go.Scatter]:
    for kind, marks in layers.items():
        gap = " " if _TEXT_AT.get(kind, "").endswith("right") else ""
        labels = [gap + drawing.marks[mark].label for mark in marks]
        yield go.Scatter(
            x=[place[mark][0] for mark in marks], y=[place[mark][1] for mark in marks],
            mode="markers+text" if len(marks) <= _MOST_LABELS else "markers", text=labels,
            textposition=_TEXT_AT.get(kind, "top center"), textfont={"size": 11},
            marker={
                "symbol": _SYMBOL.get(kind, "square"), "size": 16 if len(marks) <= _MOST_LABELS else 9, "color": _MARK,
                "line": {"width": 1, "color": "rgba(255,255,255,0.8)"},
            },
            hovertemplate="%{text}<extra></extra>", showlegend=False,
        )  # fmt: skip
