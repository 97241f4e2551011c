"""The page of an experiment: question, figure, table of results, what it shows and what it cannot."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from simulator.report.document import write_document
from simulator.report.markup import bullets, paragraph, plot, section, table
from simulator.report.study_figures import Panel, panels_figure

_CAPTION = (
    "Lines: mean over repeats (seeds) and, where a panel is of layers, over layers; bands: least to most of them."
)


def write_study_page(
    path: str | Path, *, title: str, question: str, panels: Sequence[Panel], results: pd.DataFrame,
    headings: Mapping[str, str], shows: Sequence[str], cannot: Sequence[str], made: str,
) -> None:  # fmt: skip
    """Write the page to `path`, whole or not at all; OSError where it cannot be written. `results`: cells as texts,
    under `headings` (column to heading); `made`: how to make the page again."""
    numeric = [name for name in headings if name not in {"arm", "quantity", "statistic"}]
    parts = [
        paragraph(question),
        section("Curves", plot(panels_figure(panels), caption=_CAPTION, tools=True)),
        section("Results", table(results, headings, numeric=numeric)),
        section("What it shows", bullets(shows)),
        section("What so small a scale cannot show", bullets(cannot)),
        paragraph(made),
    ]
    write_document(path, title=title, parts=parts)
