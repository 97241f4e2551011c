"""How far predictions are from measurements, as a page: scatter per family, errors by group, worst rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from simulator.report.document import write_document
from simulator.report.formats import ABSENT, time_text
from simulator.report.markup import bullets, paragraph, plot, section, table, tiles
from simulator.report.theme import EMPHASIS, figure, plain

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00")  # Okabe and Ito: told apart by every eye
HEIGHT = 420
GROUP_HEADINGS = {
    "group": "group", "rows": "rows", "n": "n", "median": "median", "p90": "90th percentile", "bias": "bias",
    "baseline": "interpolation", "extrapolated": "extrapolated", "refused": "refused", "verdict": "verdict",
}  # fmt: skip
WORST_HEADINGS = {
    "table": "table", "group": "group", "shape": "shape", "measured": "measured", "predicted": "predicted",
    "error": "error",
}  # fmt: skip
SCATTER_CAPTION = (
    "One point per measured row that no fit has seen; on the line, prediction and measurement agree. Above it the "
    "prediction is too slow, below too fast. Crosses lie outside the range that was fitted."
)


@dataclass(frozen=True, kw_only=True)
class Residuals:
    """What the page shows: `rows` (table, group, system, shape, measured_s, predicted_s, error, extrapolated), the
    errors of every group, the worst rows, key figures (label, text), and sentences.
    """

    rows: pd.DataFrame
    groups: Sequence[Mapping[str, Any]]
    worst: Sequence[Mapping[str, Any]]
    figures: Sequence[tuple[str, str]]
    sentences: Sequence[str]


def write_residuals(residuals: Residuals, path: str | Path, *, title: str) -> None:
    """Write the page to `path` as one self-contained HTML file; OSError where it cannot be written."""
    names = list(dict.fromkeys(str(row["table"]) for row in residuals.groups))
    links = "".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in ["worst", *names])
    parts = [
        bullets(residuals.sentences), tiles(residuals.figures), f"<nav>{links}</nav>",
        section("Worst rows", _worst(residuals.worst), anchor="worst"),
        *(section(name, *_family(residuals, name), anchor=name) for name in names),
    ]  # fmt: skip
    write_document(path, title=title, parts=parts)


def _family(residuals: Residuals, name: str) -> Iterable[str]:
    rows = residuals.rows[residuals.rows["table"] == name]
    if len(rows):
        yield plot(scatter_figure(rows), caption=SCATTER_CAPTION, tools=True)
    else:
        yield paragraph("No row of this table was judged.")
    shown = pd.DataFrame([_group(row) for row in residuals.groups if row["table"] == name])
    yield table(
        shown, GROUP_HEADINGS, numeric=[key for key in GROUP_HEADINGS if key not in {"group", "rows", "verdict"}]
    )


def scatter_figure(rows: pd.DataFrame) -> go.Figure:
    """Predicted over measured time of `rows`, both axes logarithmic, one colour per system."""
    low = float(rows[["measured_s", "predicted_s"]].min().min())
    high = float(rows[["measured_s", "predicted_s"]].max().max())
    agreed = go.Scatter(x=[low, high], y=[low, high], mode="lines", line={"color": EMPHASIS, "width": 1},
                        name="agreement", hoverinfo="skip")  # fmt: skip
    dots = [_dots(part, str(system), COLOURS[n % len(COLOURS)])
            for n, (system, part) in enumerate(rows.groupby("system", sort=True))]  # fmt: skip
    axes = {"type": "log", "ticksuffix": "s", "exponentformat": "SI", "dtick": 1}
    return figure(
        [agreed, *dots], height=HEIGHT, xaxis=axes | {"title": {"text": "measured"}},
        yaxis=axes | {"title": {"text": "predicted"}}, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )  # fmt: skip


def _dots(rows: pd.DataFrame, system: str, colour: str) -> go.Scatter:
    words = [f"{plain(row.group)}<br>{plain(row.shape)}<br>{row.error:+.1%}" for row in rows.itertuples()]
    symbols = ["x-thin-open" if outside else "circle" for outside in rows["extrapolated"]]
    return go.Scatter(
        x=rows["measured_s"].tolist(), y=rows["predicted_s"].tolist(), mode="markers", name=plain(system),
        text=words, hoverinfo="text", marker={"color": colour, "size": 6, "opacity": 0.6, "symbol": symbols},
    )  # fmt: skip


def _group(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "group": str(row["group"]), "rows": str(row["split"] or "all"), "n": str(row["n"]),
        **{key: _percent(row[key]) for key in ("median", "p90")}, "bias": _percent(row["bias"], sign="+"),
        "baseline": _percent(row["baseline_median"]), "extrapolated": str(row["extrapolated"]),
        "refused": str(row["refused"]), "verdict": _verdict(row),
    }  # fmt: skip


def _verdict(row: Mapping[str, Any]) -> str:
    if row["ok"] is None:
        return ""
    limits = ", ".join(f"{name} {_percent(limit)}" for name, limit in row["bar"].items() if limit is not None)
    return f"{'met' if row['ok'] else 'missed'}: {limits}"


def _worst(rows: Sequence[Mapping[str, Any]]) -> str:
    shown = [
        {**row, "measured": time_text(row["measured_s"]), "predicted": time_text(row["predicted_s"]),
         "error": _percent(row["error"], sign="+")}
        for row in rows
    ]  # fmt: skip
    return table(pd.DataFrame(shown), WORST_HEADINGS, numeric=("measured", "predicted", "error"))


def _percent(share: float | None, *, sign: str = "") -> str:
    return ABSENT if share is None else f"{share:{sign}.1%}"
