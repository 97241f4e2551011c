"""A replay over the run that it repeats: requests that run and wait, KV use, and the errors of what was judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from simulator.report.document import write_document
from simulator.report.formats import ABSENT, time_text
from simulator.report.markup import bullets, paragraph, plot, section, table
from simulator.report.theme import figure

HEIGHT = 300
RECORDED, REPLAYED = "#E69F00", "#0072B2"  # Okabe and Ito: told apart by every eye
QUANTITIES: Mapping[str, str] = {
    "running": "requests running", "waiting": "requests waiting", "kv_used_share": "KV cache used",
}  # fmt: skip
HEADINGS = {
    "id": "statistic", "predicted": "replayed", "reference": "recorded", "error": "error", "bar": "bar",
    "peer": "peer's error", "verdict": "verdict",
}  # fmt: skip
NOT_RECORDED = "The run recorded no KV use above 0: the replay's stands alone."


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """One run: `recorded` (time_s and QUANTITIES, no rows where nothing was recorded), `replayed` (the samples of a
    serving run, replicas together), `rows` judged and `notes` on the set-up."""

    name: str
    recorded: pd.DataFrame
    replayed: pd.DataFrame
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str]


def write_overlays(overlays: Sequence[Overlay], path: str | Path, *, title: str) -> None:
    """Write a section per run to `path` as one self-contained HTML file; OSError where it cannot be written."""
    write_document(path, title=title, parts=[section(overlay.name, *_parts(overlay)) for overlay in overlays])


def _parts(overlay: Overlay) -> list[str]:
    rows = pd.DataFrame([_words(row) for row in overlay.rows])
    parts = [bullets(overlay.notes), table(rows, HEADINGS, numeric=["predicted", "reference", "error", "bar", "peer"])]
    for quantity, words in QUANTITIES.items():
        parts.append(
            plot(overlay_figure(overlay, quantity), caption=f"{words} over the seconds of the run", tools=True)
        )
    if not overlay.recorded["kv_used_share"].any():
        parts.append(paragraph(NOT_RECORDED))
    return parts


def overlay_figure(overlay: Overlay, quantity: str) -> go.Figure:
    """One quantity over time, replayed, and recorded where the run has any of it."""
    replicas = sorted(overlay.replayed["replica"].unique())
    names = [f"replayed, replica {replica}" if len(replicas) > 1 else "replayed" for replica in replicas]
    lines = [_line(overlay.replayed[overlay.replayed["replica"] == replica], quantity, name, REPLAYED)
             for replica, name in zip(replicas, names, strict=True)]  # fmt: skip
    recorded = overlay.recorded
    if recorded[quantity].any():
        lines.append(_line(recorded, quantity, "recorded", RECORDED))
    return figure(
        lines, height=HEIGHT, xaxis={"title": {"text": "time [s]"}}, yaxis={"title": {"text": QUANTITIES[quantity]},
        "rangemode": "tozero"}, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )  # fmt: skip


def _line(rows: pd.DataFrame, quantity: str, name: str, colour: str) -> go.Scatter:
    return go.Scatter(x=rows["time_s"].tolist(), y=rows[quantity].tolist(), mode="lines", name=name,
                      line={"color": colour, "width": 1.5})  # fmt: skip


def _words(row: Mapping[str, Any]) -> dict[str, str]:
    peer = row["peer_error"]
    return {
        "id": str(row["id"]), "predicted": time_text(row["predicted"]), "reference": time_text(row["reference"]),
        "error": f"{row['rel_error']:+.2%}", "bar": f"{row['tolerance']:.1%}",
        "peer": ABSENT if peer is None else f"{peer:+.1%}", "verdict": "met" if row["ok"] else "missed",
    }  # fmt: skip
