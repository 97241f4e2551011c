"""Figures of a serving run: distributions of latencies, state over time, first tokens as a heat map."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from simulator.report.theme import EMPHASIS, GRID, figure, plain
from simulator.serving.metrics import Slo, gap_quantiles, request_latencies
from simulator.serving.results import ServingRun

_POINTS = 400  # of a distribution or a line: more than a screen shows
_LEAST_BINS, _MOST_BINS = 12, 60  # per axis of the heat map: more make single dots of it
_FEW = 8  # requests in the fullest bin
_LATENCIES = (
    ("ttft_s", "TTFT", "#0072B2"), ("tpot_s", "TPOT", "#E69F00"), ("itl_s", "ITL", "#CC79A7"),
    ("e2e_s", "end to end", "#009E73"),
)  # fmt: skip
_OVER_TIME = (
    ("waiting", "waiting"), ("running", "running"), ("kv_used_share", "KV used [%]"), ("busy_share", "GPU busy [%]"),
)  # fmt: skip
_REPLICA_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#C7522A", "#3B4A8C", "#7FD1B5")


def latency_figure(run: ServingRun, slo: Slo) -> go.Figure:
    """Share of the requests done (of ITL: of the gaps between tokens) within a time [s, logarithmic]; the SLO as dotted
    lines."""
    latencies = request_latencies(run.requests)
    shares = np.linspace(0.0, 1.0, _POINTS)
    quantiles = {name: np.quantile(v, shares) for name in latencies if len(v := latencies[name].dropna().to_numpy())}
    if len(gaps := gap_quantiles(run, shares)):
        quantiles["itl_s"] = gaps
    traces = []
    for column, title, colour in _LATENCIES:
        if column in quantiles:
            line = go.Scatter(x=quantiles[column], y=100.0 * shares, name=plain(title), mode="lines")
            line.line = {"color": colour, "width": 2}
            line.hovertemplate = f"{title}: %{{y:.0f}} % within %{{x:.3g}} s<extra></extra>"
            traces.append(line)
    drawn = figure(traces, height=340)
    drawn.update_xaxes(type="log", title={"text": "time [s]", "standoff": 8}, exponentformat="power")
    drawn.update_yaxes(title={"text": "requests [%]"}, range=[0, 101])
    drawn.update_layout(legend={"y": 1.12})
    for (_, _, colour), limit_s in zip(_LATENCIES, (slo.ttft_s, slo.tpot_s, None, None), strict=True):
        if limit_s is not None:
            drawn.add_vline(x=limit_s, line={"color": colour, "dash": "dot"})
    return drawn


def state_figure(samples: pd.DataFrame) -> go.Figure:
    """Queue, batch, KV use and GPU use over time, a line for each replica (of many, the first eight)."""
    drawn = make_subplots(rows=len(_OVER_TIME), cols=1, shared_xaxes=True, vertical_spacing=0.05)
    replicas = samples["replica"].unique()[: len(_REPLICA_COLOURS)]
    for replica, colour in zip(replicas, _REPLICA_COLOURS, strict=False):
        own = thinned(samples[samples["replica"] == replica])
        for row, (column, title) in enumerate(_OVER_TIME, start=1):
            values = own[column] * (100.0 if column.endswith("_share") else 1.0)
            line = go.Scatter(
                x=own["time_s"], y=values, mode="lines", name=f"replica {replica}", legendgroup=str(replica),
                showlegend=row == 1 and len(replicas) > 1, line={"color": colour, "width": 1.2},
            )  # fmt: skip
            line.hovertemplate = f"{title}: %{{y:.3g}} at %{{x:.4g}} s<extra>replica {replica}</extra>"
            drawn.add_trace(line, row=row, col=1)
            drawn.update_yaxes(title={"text": title}, rangemode="tozero", row=row, col=1)
    common = figure([], height=560).layout
    drawn.update_layout(common)
    drawn.update_xaxes(gridcolor=GRID, zeroline=False)
    drawn.update_yaxes(gridcolor=GRID, zeroline=False, automargin=True)
    drawn.update_xaxes(title={"text": "time [s]", "standoff": 8}, row=len(_OVER_TIME), col=1)
    return drawn


def thinned(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the means over time of stretches of a replica's samples, as many as a figure shows, where there are more.
    A state lasts until the next sample, `busy_share` has lasted since the one before."""
    if len(samples) <= _POINTS:
        return samples
    stretch = np.arange(len(samples)) * _POINTS // len(samples)
    since_s = samples["time_s"].diff().fillna(samples["time_s"])
    weights = dict.fromkeys(samples.columns, since_s.shift(-1, fill_value=0.0))
    weights |= {"busy_share": since_s, "time_s": pd.Series(1.0, index=samples.index)}
    weighted = pd.DataFrame({name: samples[name] * weight for name, weight in weights.items()}).groupby(stretch).sum()
    means: pd.DataFrame = weighted / pd.DataFrame(weights).groupby(stretch).sum()
    return means.fillna(0.0)


def first_token_map(requests: pd.DataFrame) -> go.Figure:
    """How many requests, by arrival [s] and time to first token [s, logarithmic]."""
    done = requests[requests["state"] == "done"]
    ttft_s = request_latencies(requests)["ttft_s"].to_numpy()
    floor_s = max(float(ttft_s[ttft_s > 0].min()) if (ttft_s > 0).any() else 1e-6, 1e-6)
    counts, arrival_s, exponent = np.histogram2d(
        done["arrival_s"].to_numpy(), np.log10(np.maximum(ttft_s, floor_s)),
        bins=int(np.clip(len(done) ** 0.5, _LEAST_BINS, _MOST_BINS)),
    )  # fmt: skip
    shown = np.where(counts.T > 0, counts.T, np.nan)
    whole = {"dtick": 1} if counts.max() <= _FEW else {}  # no halves of a request
    middle_s = (arrival_s[1:] + arrival_s[:-1]) / 2
    heat = go.Heatmap(
        x=middle_s, y=10 ** ((exponent[1:] + exponent[:-1]) / 2), z=shown, colorscale="Viridis",
        colorbar={"title": {"text": "requests"}, "thickness": 12, **whole},
        hovertemplate="%{z} requests that came around %{x:.4g} s had a first token after %{y:.3g} s<extra></extra>",
    )  # fmt: skip
    drawn = figure([heat], height=340)
    drawn.update_xaxes(title={"text": "arrival [s]", "standoff": 8}, showgrid=False)
    drawn.update_yaxes(title={"text": "TTFT [s]"}, type="log", showgrid=False)
    drawn.add_hline(y=float(np.median(ttft_s)), line={"color": EMPHASIS, "dash": "dot", "width": 2})
    return drawn
