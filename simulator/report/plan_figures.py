"""Figures of a plan: its front, what would change it, neighbouring GPU counts."""

from collections.abc import Sequence

import plotly.graph_objects as go

from simulator.planner.continuity import Count
from simulator.planner.plan_answer import PlanAnswer
from simulator.planner.sensitivity import Change
from simulator.report.formats import number_text
from simulator.report.theme import EMPHASIS, figure, plain

_BLUE, _ORANGE, _QUIET = "#0072B2", "#D55E00", "rgba(128,138,148,0.6)"
_MARGIN = {"l": 12, "r": 20, "t": 12, "b": 90}
_LEGEND = {"y": -0.3, "yanchor": "top", "orientation": "h"}


def front_figure(answer: PlanAnswer) -> go.Figure:
    """Tokens/s/GPU over tokens/s/user of the best plan under each TPOT target."""
    on = sorted((p for p in answer.front if p.on_front), key=lambda p: p.tokens_per_s_per_user)
    off = [p for p in answer.front if not p.on_front]
    traces = [
        go.Scatter(
            name=name, x=[p.tokens_per_s_per_user for p in points], y=[p.tokens_per_s_per_gpu for p in points],
            mode=mode, text=[plain(p.plan.name) for p in points], line={"color": colour, "shape": "hv"},
            marker={"color": colour, "size": 10},
            hovertemplate="%{text}<br>%{x:,.1f} tokens/s/user<br>%{y:,.0f} tokens/s/GPU<extra></extra>",
        )
        for name, points, mode, colour in (("front", on, "lines+markers", _BLUE), ("others", off, "markers", _QUIET))
        if points
    ]  # fmt: skip
    best = answer.best
    if best is not None:
        reckoned = best.plan.rate_per_s * (answer.load.decoded_tokens + 1.0) / best.plan.n_gpus
        traces.append(go.Scatter(
            name="recommended", x=[1.0 / best.plan.decode.tpot_s], y=[reckoned], mode="markers",
            marker={"color": _ORANGE, "size": 16, "symbol": "diamond"}, text=[plain(best.plan.name)],
            hovertemplate="%{text}<extra></extra>",
        ))  # fmt: skip
    drawn = figure(traces, height=400, margin=_MARGIN, legend=_LEGEND)
    drawn.update_xaxes(title={"text": "tokens/s/user", "standoff": 8}, rangemode="tozero")
    drawn.update_yaxes(title={"text": "tokens/s/GPU", "standoff": 8}, tickformat=",d", rangemode="tozero")
    return drawn


def changes_figure(changes: Sequence[Change]) -> go.Figure:
    """What the same GPUs take under each change, relative to without it."""
    parts = [100.0 * (c.worth / c.before - 1.0) if c.before else 0.0 for c in changes]
    names = [plain(c.change) for c in changes]
    bars = go.Bar(
        x=parts, y=names, orientation="h", marker={"color": [_BLUE if part >= 0.0 else _ORANGE for part in parts]},
        text=[f"{part:+.1f} %" for part in parts], textposition="outside", cliponaxis=False,
        customdata=[number_text(c.worth) for c in changes],
        hovertemplate="%{y}: takes %{customdata}<extra></extra>",
    )  # fmt: skip
    drawn = figure([bars], height=110 + 34 * len(changes))
    most = max([1.0, *(abs(part) for part in parts)]) * 1.35
    drawn.update_xaxes(title={"text": "change of what the same GPUs take [%]", "standoff": 8}, range=[-most, most])
    drawn.update_yaxes(autorange="reversed", showgrid=False, type="category")
    return drawn


def counts_figure(counts: Sequence[Count]) -> go.Figure:
    """What the best plan on each number of GPUs takes, per GPU; jumps with their causes."""
    line = go.Scatter(
        x=[c.n_gpus for c in counts], y=[c.worth_per_gpu for c in counts], mode="lines+markers", name="best plan",
        line={"color": _BLUE, "shape": "hv"}, marker={"size": 6},
        text=[plain(c.plan.name) if c.plan else "nothing serves" for c in counts],
        hovertemplate="%{x} GPUs: %{y:.3g} per GPU<br>%{text}<extra></extra>",
    )  # fmt: skip
    jumps = [c for c in counts if c.cause]
    marks = go.Scatter(
        x=[c.n_gpus for c in jumps], y=[c.worth_per_gpu for c in jumps], mode="markers", name="jump with a cause",
        marker={"color": EMPHASIS, "size": 11}, text=[plain(c.cause) for c in jumps],
        hovertemplate="%{x} GPUs: %{text}<extra></extra>",
    )  # fmt: skip
    drawn = figure([line, marks], height=360, margin=_MARGIN, legend=_LEGEND)
    drawn.update_xaxes(title={"text": "GPUs", "standoff": 8}, rangemode="tozero")
    drawn.update_yaxes(title={"text": "requests/s (or users) per GPU", "standoff": 8}, rangemode="tozero")
    return drawn
