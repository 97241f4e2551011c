"""What the all-to-alls send, by how far it goes: a matrix of answers by kind and tier."""

from collections.abc import Sequence

import plotly.graph_objects as go

from simulator.amounts import LOCAL, KindAmounts
from simulator.answer import Answer
from simulator.report.formats import bytes_text, share_text
from simulator.report.kinds import style_of
from simulator.report.theme import figure, plain

_TIERS = (LOCAL, "nvlink", "pcie", "nic", "spine", "core")  # from near to far; others after these
_ROW_PX, _FRAME_PX = 34, 120


def traffic_figure(answers: Sequence[Answer]) -> go.Figure | None:
    """Share of the bytes of each communicating kind by tier (colour), with the bytes per GPU and step; None without
    communication."""
    moved = {a.name: [k for k in a.amounts if any(k.sent_bytes.values())] for a in answers if a.feasible}
    cells = sorted(
        {(k.kind, tier) for kinds in moved.values() for k in kinds for tier in k.sent_bytes}, key=_near_first
    )
    cells = [cell for cell in cells if any(_sent(kinds, cell) for kinds in moved.values())]
    if not cells:
        return None
    sent = [[_sent(kinds, cell) for cell in cells] for kinds in moved.values()]
    total = [[_total(kinds, kind) for kind, _ in cells] for kinds in moved.values()]
    shares = [[b / t if t else 0.0 for b, t in zip(*rows, strict=True)] for rows in zip(sent, total, strict=True)]
    texts = [
        [f"{bytes_text(b)} ({share_text(share)})" if b else "–" for b, share in zip(*rows, strict=True)]
        for rows in zip(sent, shares, strict=True)
    ]
    matrix = go.Heatmap(
        x=[f"{plain(style_of(kind).label)}<br>{plain(tier)}" for kind, tier in cells], y=[plain(n) for n in moved],
        z=shares, text=texts, texttemplate="%{text}", zmin=0.0, zmax=1.0, showscale=False, xgap=2, ygap=2,
        colorscale=[[0.0, "#EEF2F5"], [1.0, "#F2A33A"]], textfont={"color": "#17222D"},
        hovertemplate="%{y}<br>%{x}: %{text}<extra></extra>",
    )  # fmt: skip
    drawn = figure([matrix], height=_FRAME_PX + _ROW_PX * len(moved))
    drawn.update_yaxes(autorange="reversed", showgrid=False, type="category")
    drawn.update_xaxes(showgrid=False, side="top", type="category")
    drawn.update_layout(margin={"l": 12, "r": 20, "t": 60, "b": 12})
    return drawn


def _near_first(cell: tuple[str, str]) -> tuple[list[str], int, str]:
    kind, tier = cell
    order = ("attention_tp", "dense_tp", "dispatch", "combine")
    place = str(order.index(kind)) if kind in order else kind
    return [place], _TIERS.index(tier) if tier in _TIERS else len(_TIERS), tier


def _sent(kinds: Sequence[KindAmounts], cell: tuple[str, str]) -> float:
    return next((k.sent_bytes.get(cell[1], 0.0) for k in kinds if k.kind == cell[0]), 0.0)


def _total(kinds: Sequence[KindAmounts], kind: str) -> float:
    return next((sum(k.sent_bytes.values()) for k in kinds if k.kind == kind), 0.0)
