"""Small multiples: one middle layer of several answers under one another, on one time axis and in the same colours."""

from collections.abc import Iterator, Sequence

import pandas as pd
import plotly.graph_objects as go

from simulator.answer import Answer
from simulator.report.formats import time_text
from simulator.report.kinds import in_order, style_of
from simulator.report.rank_choice import middle_window, shown_ranks
from simulator.report.theme import figure, plain

_US_PER_S = 1e6
_ROW_PX, _FRAME_PX, _ABOVE_PX = 34, 150, 26  # one stream; axis and legend; the name above an answer's streams
_GAP = 0.85  # between two answers, in rows
_LEGEND_GAP_PX = 56


def layer_figure(answers: Sequence[Answer]) -> go.Figure:
    """A row per stream of the hottest rank of each answer, from the start of its middle layer [µs]; an op that waits
    for other ranks begins pale. Answers without a timeline are left out."""
    shown = [(answer, answer.timeline) for answer in answers if answer.timeline is not None]
    placed, names, ticks, position = [], [], {}, 0.0
    longest_s = 0.0
    for answer, timeline in shown:
        ops, length_s = _middle_layer(timeline)
        longest_s = max(longest_s, length_s)
        names.append((position, f"<b>{plain(answer.name)}</b> · {time_text(length_s)}"))
        for stream in dict.fromkeys(ops["stream"].astype(str)):
            placed.append(ops[ops["stream"] == stream].assign(lane=position))
            ticks[position] = stream
            position += 1
        position += _GAP
    every = pd.concat(placed) if placed else pd.DataFrame(columns=["kind", "wait_s"])
    height = int(_FRAME_PX + _ROW_PX * position + _ABOVE_PX)
    drawn = figure([*_kinds(every), *_waits(every)], height=height, barmode="overlay")
    drawn.update_xaxes(
        title={"text": "time in the layer [µs]", "standoff": 8}, range=[-0.01, 1.01 * longest_s * _US_PER_S]
    )
    drawn.update_yaxes(
        tickvals=list(ticks), ticktext=[plain(t) for t in ticks.values()], range=[position - 0.4, -1.0], showgrid=False
    )
    drawn.update_layout(
        annotations=[
            {"text": text, "x": 0, "xref": "paper", "xanchor": "left", "y": at - 0.42, "yanchor": "bottom",
             "showarrow": False}
            for at, text in names
        ],
        legend={"y": -_LEGEND_GAP_PX / height, "yanchor": "top"},
    )  # fmt: skip
    return drawn


def _middle_layer(timeline: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """The ops that the hottest rank runs while its middle layer lasts, cut to it, and how long that is [s]."""
    hottest = timeline[timeline["rank"] == shown_ranks(timeline)[0].rank]
    begin_s, end_s = middle_window(hottest, 1)
    inside = hottest[(hottest["end_s"] > begin_s) & (hottest["start_s"] < end_s)]
    start_s, stop_s = inside["start_s"].clip(lower=begin_s) - begin_s, inside["end_s"].clip(upper=end_s) - begin_s
    return inside.assign(from_s=start_s, to_s=stop_s), end_s - begin_s


def _kinds(ops: pd.DataFrame) -> Iterator[go.Bar]:
    for kind in in_order(ops["kind"]):
        of_kind, style = ops[ops["kind"] == kind], style_of(kind)
        yield _bars(of_kind, of_kind["to_s"] - of_kind["from_s"], style.label, style.colour)


def _waits(ops: pd.DataFrame) -> Iterator[go.Bar]:
    waiting = ops[ops["wait_s"] > 0]
    if len(waiting):
        length_s = waiting["wait_s"].clip(upper=waiting["to_s"] - waiting["from_s"])
        yield _bars(waiting, length_s, "waiting for other ranks", "#DDE1E5")


def _bars(ops: pd.DataFrame, length_s: "pd.Series[float]", label: str, colour: str) -> go.Bar:
    texts = [
        [plain(op), str(layer), time_text(took_s)]
        for op, layer, took_s in zip(ops["op"], ops["layer"], ops["end_s"] - ops["start_s"], strict=True)
    ]
    return go.Bar(
        name=plain(label), orientation="h", y=ops["lane"].tolist(), width=0.78, customdata=texts,
        x=(length_s * _US_PER_S).round(3).tolist(), base=(ops["from_s"] * _US_PER_S).round(3).tolist(),
        marker={"color": colour, "line": {"width": 0.5, "color": "rgba(255,255,255,0.6)"}},
        hovertemplate="<b>%{customdata[0]}</b> · layer %{customdata[1]}<br>takes %{customdata[2]}<extra></extra>",
    )  # fmt: skip
