"""The stream timeline: what the hottest, the median and the coldest rank do on each stream."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from simulator.report.formats import bytes_text, flops_text, time_text
from simulator.report.kinds import in_order, style_of
from simulator.report.rank_choice import ShownRank, middle_window, shown_ranks
from simulator.report.theme import EMPHASIS, buttons, figure, plain

_MS_PER_S = 1e3
_DIGITS_MS = 6  # whole nanoseconds
_ROW_GAP = 0.7  # between the last stream of one rank and the first of the next, in rows
_BAR_WIDTH = 0.78
_MAX_LAYER_MARKS = 40
_LEGEND_GAP_PX = 90
_WAIT_COLOUR = "rgba(140,150,160,0.30)"
_HOVER = (
    "<b>%{customdata[0]}</b> · %{fullData.name}<br>layer %{customdata[1]}<br>starts %{customdata[2]}, "
    "takes %{customdata[3]}%{customdata[4]}<br>%{customdata[5]}, %{customdata[6]}<br>"
    "cost: %{customdata[7]}<extra></extra>"
)


@dataclass(frozen=True, kw_only=True)
class _Lane:
    """One row of the figure: `position` on its axis, the rank and the stream whose ops it shows."""

    position: float
    rank: ShownRank
    stream: str


def timeline_figure(
    timeline: pd.DataFrame, critical_path: pd.DataFrame | None = None, *, ranks: list[ShownRank] | None = None
) -> go.Figure:
    """Rows of rank × stream, one bar per op, coloured by kind; waiting stands at the front of an op, in grey.

    Opens on the two middle layers; buttons widen it to four layers or the whole step or narrow it to one. The ops on
    `critical_path` (columns `op_id`, `rank`) of the ranks shown are underlined. Time in ms. `ranks`: the rows to show
    instead, such as those of several timelines; it then opens on the whole of them, and layers are those of the first.
    """
    whole = ranks is not None
    ranks = ranks or shown_ranks(timeline)
    shown = timeline[timeline["rank"].isin([rank.rank for rank in ranks])]
    lanes = _lanes(shown, ranks)
    placed = _placed(shown, lanes)
    traces = [_kind_bars(kind, placed[placed["kind"] == kind]) for kind in in_order(placed["kind"])]
    traces += _wait_bars(placed) + _critical_marks(placed, critical_path)
    hottest = shown[shown["rank"] == ranks[0].rank]
    drawn = figure(traces, height=190 + 42 * len(lanes) + 26 * len(ranks), barmode="overlay")
    _arrange(drawn, lanes, hottest, shown if whole else None)
    return drawn


def _lanes(shown: pd.DataFrame, ranks: list[ShownRank]) -> list[_Lane]:
    lanes: list[_Lane] = []
    position = 0.0
    for rank in ranks:
        for stream in dict.fromkeys(shown.loc[shown["rank"] == rank.rank, "stream"]):
            lanes.append(_Lane(position=position, rank=rank, stream=str(stream)))
            position += 1
        position += _ROW_GAP
    return lanes


def _placed(shown: pd.DataFrame, lanes: list[_Lane]) -> pd.DataFrame:
    """The ops with `lane` (position), `base_ms`, `wait_ms` and `work_ms`."""
    position = {(lane.rank.rank, lane.stream): lane.position for lane in lanes}
    lane = [position[key] for key in zip(shown["rank"], shown["stream"].astype(str), strict=True)]
    wait_s = shown["wait_s"].clip(lower=0)
    return shown.assign(
        lane=lane,
        base_ms=(shown["start_s"] * _MS_PER_S).round(_DIGITS_MS),
        wait_ms=(wait_s * _MS_PER_S).round(_DIGITS_MS),
        work_ms=((shown["end_s"] - shown["start_s"] - wait_s) * _MS_PER_S).round(_DIGITS_MS),
    )


def _kind_bars(kind: str, ops: pd.DataFrame) -> go.Bar:
    style = style_of(kind)
    return go.Bar(
        name=plain(style.label), orientation="h", y=ops["lane"].tolist(), x=ops["work_ms"].tolist(),
        base=(ops["base_ms"] + ops["wait_ms"]).round(_DIGITS_MS).tolist(), width=_BAR_WIDTH,
        customdata=list(_hover_rows(ops)), hovertemplate=_HOVER,
        marker={"color": style.colour, "line": {"width": 0.5, "color": "rgba(255,255,255,0.6)"}},
    )  # fmt: skip


def _hover_rows(ops: pd.DataFrame) -> Iterator[list[str]]:
    """Ready texts, short on purpose: they are most of the page's own size."""
    columns = ["op", "layer", "start_s", "end_s", "wait_s", "flops", "bytes", "source", "extrapolated"]
    for op, layer, start_s, end_s, wait_s, flops, n_bytes, source, extrapolated in zip(
        *(ops[column].tolist() for column in columns), strict=True
    ):
        wait = f", {time_text(wait_s)} of it waiting" if wait_s > 0 else ""
        cost = f"{source}, extrapolated" if extrapolated else source
        where = "–" if layer < 0 else str(layer)
        amounts = [flops_text(flops), bytes_text(n_bytes)]
        yield [plain(op), where, time_text(start_s), time_text(end_s - start_s), wait, *amounts, cost]


def _wait_bars(placed: pd.DataFrame) -> list[Any]:
    waits = placed[placed["wait_ms"] > 0]
    if waits.empty:
        return []
    texts = [[plain(op), time_text(wait_s)] for op, wait_s in zip(waits["op"], waits["wait_s"], strict=True)]
    bars = go.Bar(
        name="waiting for other ranks", orientation="h", y=waits["lane"].tolist(), x=waits["wait_ms"].tolist(),
        base=waits["base_ms"].tolist(), width=_BAR_WIDTH, customdata=texts,
        hovertemplate="<b>%{customdata[0]}</b> waits for other ranks<br>%{customdata[1]}<extra></extra>",
        marker={"color": _WAIT_COLOUR, "line": {"width": 0.5, "color": "rgba(120,130,140,0.8)"}},
    )  # fmt: skip
    return [bars]


def _critical_marks(placed: pd.DataFrame, critical_path: pd.DataFrame | None) -> list[Any]:
    if critical_path is None or critical_path.empty:
        return []
    on_path = set(zip(critical_path["op_id"], critical_path["rank"], strict=True))
    marked = [key in on_path for key in zip(placed["op_id"], placed["rank"], strict=True)]
    ops = placed[marked]
    if ops.empty:
        return []
    marks = go.Bar(
        name="critical path", orientation="h", y=(ops["lane"] + 0.45).tolist(), x=ops["work_ms"].tolist(),
        base=(ops["base_ms"] + ops["wait_ms"]).round(_DIGITS_MS).tolist(), width=0.09,
        hoverinfo="skip", marker={"color": EMPHASIS, "line": {"width": 0}},
    )  # fmt: skip
    return [marks]


def _arrange(drawn: go.Figure, lanes: list[_Lane], hottest: pd.DataFrame, opens_on: pd.DataFrame | None) -> None:
    one, two, four = (_range_ms(middle_window(hottest, n_layers)) for n_layers in (1, 2, 4))
    all_ = hottest if opens_on is None else opens_on
    whole = _range_ms((float(all_["start_s"].min()), float(all_["end_s"].max())))
    choices = [("one layer", one), ("two layers", two), ("four layers", four), ("whole step", whole)]
    drawn.update_xaxes(
        range=two if opens_on is None else whole, title={"text": "time [ms]", "standoff": 8}, ticks="outside"
    )
    drawn.update_yaxes(
        tickvals=[lane.position for lane in lanes], ticktext=[plain(lane.stream) for lane in lanes],
        range=[lanes[-1].position + 0.6, -1.0], showgrid=False, fixedrange=True,
    )  # fmt: skip
    drawn.update_layout(
        updatemenus=buttons([_zoom(label, window) for label, window in choices], active=1 if opens_on is None else 3),
        annotations=[*_rank_names(lanes), *_layer_marks(hottest, all_)],
        margin={"l": 12, "r": 20, "t": 72, "b": 44},
        legend={"y": -_LEGEND_GAP_PX / drawn.layout.height, "yanchor": "top"},
        dragmode="zoom",
    )


def _range_ms(window: tuple[float, float]) -> list[float]:
    start_ms, end_ms = window[0] * _MS_PER_S, window[1] * _MS_PER_S
    margin_ms = 0.01 * (end_ms - start_ms)
    return [start_ms - margin_ms, end_ms + margin_ms]


def _zoom(label: str, window: list[float]) -> dict[str, Any]:
    return {"label": label, "method": "relayout", "args": [{"xaxis.range": window}]}


def _rank_names(lanes: list[_Lane]) -> list[dict[str, Any]]:
    first_lanes = {lane.rank.rank: lane for lane in reversed(lanes)}
    return [
        {
            "text": _rank_name(lane.rank), "xref": "paper", "x": 0, "xanchor": "left", "showarrow": False,
            "y": lane.position - 0.45, "yanchor": "bottom", "font": {"size": 12},
        }
        for lane in first_lanes.values()
    ]  # fmt: skip


def _rank_name(rank: ShownRank) -> str:
    alike = f" (×{rank.n_alike} alike)" if rank.n_alike > 1 else ""
    return f"<b>{rank.label}</b> · device {rank.device}{alike}"


def _layer_marks(hottest: pd.DataFrame, all_: pd.DataFrame) -> list[dict[str, Any]]:
    """The number of each layer where its first op starts, above the rows."""
    starts = hottest[hottest["layer"] >= 0].groupby("layer")["start_s"].min()
    share = (hottest["end_s"].max() - hottest["start_s"].min()) / (all_["end_s"].max() - all_["start_s"].min())
    step = 1 + int(len(starts) / share) // _MAX_LAYER_MARKS  # as dense as marks over the whole axis would be
    common = {
        "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False, "font": {"size": 11}, "opacity": 0.75,
    }  # fmt: skip
    marks = [
        {"text": str(layer), "x": start_s * _MS_PER_S, "xanchor": "left", **common}
        for layer, start_s in list(starts.items())[::step]
    ]
    if marks:
        marks.append({"text": "layer", "x": 0, "xref": "paper", "xanchor": "right", "xshift": -6, **common})
    return marks
