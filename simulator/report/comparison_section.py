"""The part of the page that sets answers side by side: words, table, figures of the best few."""

from collections.abc import Iterator, Sequence

import pandas as pd

from simulator.answer import Answer
from simulator.differences import best_first, distinct
from simulator.report.candidates_table import BEST, CANDIDATE_COLUMNS, candidates_table
from simulator.report.comparison_figures import comparison_figure, rates_figure
from simulator.report.comparison_words import comparison_sentences
from simulator.report.layer_figure import layer_figure
from simulator.report.load_figure import load_figure
from simulator.report.markup import bullets, paragraph, plot, section, table
from simulator.report.tables import scenario_differences
from simulator.report.traffic_figure import traffic_figure
from simulator.report.words import number_in

MOST_DRAWN = 8  # bars and matrix rows that one looks at together
MOST_PANELS = 4  # timelines and heat maps, likewise
_LAYER_CAPTION = "One middle layer of the hottest rank, from its start: the same time axis and colours for all."
_LOAD_CAPTION = (
    "Rows that the experts of each rank compute, over the mean of their layer: red is hot. One row where layers are "
    "alike."
)
_TRAFFIC_CAPTION = (
    "Payload sent per GPU and step, by how far it goes; in brackets its share of that kind's bytes. Local copies stay "
    "on their GPU; a hierarchical copy counts in each tier that it crosses."
)


def comparison_section(answers: Sequence[Answer], base: Answer | None) -> str:
    """The section "Comparison" as HTML; of many answers the best ones are drawn, of equal ones the first;
    the table has all of them."""
    said = comparison_sentences(answers, base)
    parts = [paragraph(said[0], "headline"), bullets(said[1:])] if said else []
    parts.append(_table(answers, base))
    parts.extend(_figures(answers))
    if len(answers) <= MOST_DRAWN:
        names = {answer.name: answer.name for answer in answers}
        parts.append(table(scenario_differences(answers), {"key": "what differs", **names}))
    return section("Comparison", *parts, anchor="comparison")


def _table(answers: Sequence[Answer], base: Answer | None) -> str:
    rows = candidates_table(answers)
    if base is not None:
        rows = pd.concat([rows, candidates_table([base]).assign(mark="")], ignore_index=True)
    rows = rows.assign(name=(rows["mark"] + " " + rows["name"]).str.strip())
    headings = {"name": "candidate", **CANDIDATE_COLUMNS, "reason": "why not"}
    if not rows["reason"].any():
        headings.pop("reason")
    shown = table(rows, headings, numeric=CANDIDATE_COLUMNS, css_class="candidates")
    return shown + paragraph(f"{BEST} most TGS (tokens/s/GPU); TPS/user: tokens/s/user.", "note")


def _figures(answers: Sequence[Answer]) -> Iterator[str]:
    feasible = distinct(best_first(answers))
    if not feasible:
        return
    drawn, panels = feasible[:MOST_DRAWN], feasible[:MOST_PANELS]
    shown = f" The best {len(drawn)} of {len(feasible)}." if len(feasible) > len(drawn) else ""
    best = f" The best {len(panels)} of {len(feasible)}." if len(feasible) > len(panels) else ""
    yield plot(comparison_figure(drawn), caption=f"What the length of each step consists of.{shown}")
    if any(number_in(answer.metrics, "tokens_per_s_per_user") is not None for answer in feasible):
        caption = "Throughput against speed for one user: up and to the right is better."
        yield plot(rates_figure(drawn, feasible[MOST_DRAWN:]), caption=caption)
    yield plot(layer_figure(panels), caption=_LAYER_CAPTION + best)
    if traffic := traffic_figure(drawn):
        yield plot(traffic, caption=_TRAFFIC_CAPTION + shown)
    if loads := load_figure(panels):
        yield plot(loads, caption=_LOAD_CAPTION + best)
