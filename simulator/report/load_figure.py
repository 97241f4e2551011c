"""Where routed rows fall: one heat map over layers and ranks per answer, all on one scale.

L MoE layers (1 where all are alike), R ranks.
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from simulator.answer import Answer
from simulator.report.theme import figure, plain
from workloads.ops import FloatArray

_MAP_PX, _FLAT_PX, _FRAME_PX = 150, 34, 110  # a map with many layers, one with a single row, axis and scale
_COLD, _MEAN, _HOT = "#2166AC", "#E8EAEC", "#B2182B"  # ColorBrewer RdBu, its middle darker than a white page
_LEAST_RANGE = 2.0  # times the mean: even loads must not look hot


def load_figure(answers: Sequence[Answer]) -> go.Figure | None:
    """Rows of each rank over the mean of its layer, one map per answer; None where no answer has routed rows."""
    loads = [(a.name, over_mean(a.expert_rows_LR)) for a in answers if a.expert_rows_LR is not None]
    loads = [(name, load_LR) for name, load_LR in loads if load_LR.size and load_LR.any()]
    if not loads:
        return None
    heights = [_FLAT_PX if len(load_LR) == 1 else _MAP_PX for _, load_LR in loads]
    height = sum(heights) + 44 * len(loads) + _FRAME_PX
    drawn = make_subplots(
        rows=len(loads), cols=1, row_heights=heights, vertical_spacing=min(46 / height, 0.9 / len(loads)),
        subplot_titles=[plain(name) for name, _ in loads],
    )  # fmt: skip
    for row, (_, load_LR) in enumerate(loads, start=1):
        drawn.add_trace(_map(load_LR), row=row, col=1)
        drawn.update_yaxes(title_text="layer" if len(load_LR) > 1 else "all", showticklabels=False, row=row, col=1)
    hottest = max(_LEAST_RANGE, *(float(load_LR.max()) for _, load_LR in loads))
    look = figure([], height=height).layout
    drawn.update_layout(look)
    drawn.update_layout(
        margin={"l": 12, "r": 20, "t": 30, "b": 44},
        coloraxis={
            "colorscale": [[0.0, _COLD], [1.0 / hottest, _MEAN], [1.0, _HOT]], "cmin": 0.0, "cmax": hottest,
            "colorbar": {"title": {"text": "rows / mean"}, "thickness": 14, "len": min(1.0, 220 / height)},
        },
    )  # fmt: skip
    drawn.update_annotations(x=0, xanchor="left", font_size=13)
    drawn.update_xaxes(title={"text": "rank", "standoff": 4}, row=len(loads), col=1)
    return drawn


def over_mean(rows_LR: FloatArray) -> FloatArray:
    """Return the rows of each rank over the mean of its layer (1 in a layer without rows), (L, R)."""
    mean_L1 = rows_LR.mean(axis=1, keepdims=True)
    return np.asarray(np.divide(rows_LR, mean_L1, out=np.ones_like(rows_LR), where=mean_L1 > 0.0))


def _map(load_LR: FloatArray) -> go.Heatmap:
    return go.Heatmap(
        z=load_LR.round(3).tolist(), coloraxis="coloraxis",
        hovertemplate="layer %{y}, rank %{x}<br>%{z:.2f} × the mean<extra></extra>",
    )  # fmt: skip
