"""The report: one HTML file that needs nothing else, not even a network."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from simulator.answer import Answer
from simulator.differences import best_first, distinct
from simulator.report.comparison_section import MOST_DRAWN, comparison_section
from simulator.report.document import write_document
from simulator.report.figures import breakdown_figure, memory_figure, sources_figure
from simulator.report.formats import quantity_text
from simulator.report.markup import bullets, paragraph, plot, section, table, tiles
from simulator.report.tables import (
    assumptions_table,
    kinds_table,
    metrics_table,
    scenario_table,
)
from simulator.report.timeline_figure import timeline_figure
from simulator.report.vocabulary import metric_word
from simulator.report.words import number_in, sentences

_TILES = (
    "tokens_per_s_per_gpu", "tokens_per_s_per_user", "tpot_s", "step_s", "usd_per_million_output_tokens",
    "usd_per_million_input_tokens", "exposed_comm_s", "overlap_ratio",
)  # fmt: skip
_TIMELINE_CAPTION = (
    "One bar per op: blue, green and grey compute; red, orange and yellow communicate; pale boxes wait for other "
    "ranks, drawn at the front of their op; magenta underlines the critical path. Numbers above the rows mark where "
    "a layer starts. Drag to zoom in, drag the axis to move, double-click to return, click the legend to hide a kind."
)
_BREAKDOWN_CAPTION = (
    "Means over devices. Busy: time spent on a kind, streams added up. Exposed: communication with nothing computed "
    "beside. Critical path: what the length of the step consists of."
)


MOST_DETAILED = 4


def write_page(answers: Sequence[Answer], path: str | Path, *, title: str, base: Answer | None = None) -> None:
    """Write the report on `answers` to `path` as one self-contained HTML file.

    One answer: words, key figures, timeline, breakdown, memory, assumptions, scenario. Several: first what tells them
    apart (`base`: the scenario before anything was varied), then each; of more than MOST_DRAWN only the best ones, the
    table has all. Raises OSError where `path` cannot be written; the file appears whole or not at all.
    """
    write_document(path, title=title, parts=_body(answers, base))


def _body(answers: Sequence[Answer], base: Answer | None) -> list[str]:
    if len(answers) == 1:
        return [_subject(answers[0]), *_opening(answers[0]), *_parts(answers[0], level=2)]
    told = answers if len(answers) <= MOST_DRAWN else distinct(best_first(answers))[:MOST_DETAILED]
    sections = [_answer_section(position, answer) for position, answer in enumerate(told)]
    return [_links(told), comparison_section(answers, base), *sections]


def _subject(answer: Answer) -> str:
    keys = ("model", "machine", "n_gpus", "phase", "schedule")
    values = [
        f"{answer.scenario[key]}" + (" GPUs" if key == "n_gpus" else "") for key in keys if key in answer.scenario
    ]
    return paragraph(" · ".join(values), "kicker")


def _links(answers: Sequence[Answer]) -> str:
    targets = [
        ("comparison", "Comparison"),
        *((_anchor(position), answer.name) for position, answer in enumerate(answers)),
    ]
    return "<nav>" + "".join(f'<a href="#{anchor}">{escape(text)}</a>' for anchor, text in targets) + "</nav>"


def _anchor(position: int) -> str:
    return f"answer-{position + 1}"


def _answer_section(position: int, answer: Answer) -> str:
    parts = [_subject(answer), *_opening(answer), *_parts(answer, level=3)]
    return section(answer.name, *parts, anchor=_anchor(position))


def _opening(answer: Answer) -> Iterator[str]:
    said = sentences(answer)
    yield paragraph(said[0], "headline" if answer.feasible else "headline infeasible")
    yield tiles(_key_figures(answer))
    yield bullets(answer.warnings, "warnings")
    yield bullets(said[1:])


def _key_figures(answer: Answer) -> Iterator[tuple[str, str]]:
    for name in _TILES:
        value = number_in(answer.metrics, name)
        if value is not None:
            word = metric_word(name)
            yield word.label, quantity_text(value, "" if word.unit == "tokens/s" else word.unit)


def _parts(answer: Answer, *, level: int) -> Iterator[str]:
    if answer.timeline is not None and len(answer.timeline):
        drawn = timeline_figure(answer.timeline, answer.critical_path)
        yield section("Timeline", plot(drawn, caption=_TIMELINE_CAPTION, tools=True), level=level)
    if answer.kinds:
        yield section("Where the time goes", *_breakdown(answer), level=level)
    if answer.memory_bytes:
        yield section("Memory", _memory(answer), level=level)
    yield section("Metrics", _metrics(answer), level=level)
    yield section("What it rests on", *_foundation(answer), level=level)
    yield section("Scenario", table(scenario_table(answer), {"key": "key", "value": "value"}), level=level)


def _breakdown(answer: Answer) -> Iterator[str]:
    yield plot(breakdown_figure(answer), caption=_BREAKDOWN_CAPTION)
    headings = {"label": "kind", "busy": "busy", "exposed": "exposed", "critical": "critical path", "n_ops": "ops"}
    yield table(kinds_table(answer), headings, numeric=("busy", "exposed", "critical", "n_ops"))


def _memory(answer: Answer) -> str:
    return plot(
        memory_figure(answer), caption="What lies in the memory of the fullest device, against what it may use."
    )


def _metrics(answer: Answer) -> str:
    rows = metrics_table(answer)
    headings = {"label": "metric", "text": "value", "range": "range", "definition": "definition"}
    if not rows["range"].any():
        headings.pop("range")
    return table(rows, headings, numeric=("text", "range"))


def _foundation(answer: Answer) -> Iterator[str]:
    if answer.critical_path_by_source:
        yield plot(sources_figure(answer), caption="The critical path by the source of its costs, the surest first.")
    headings = {"name": "assumption", "value": "value", "source": "source", "reference": "reference"}
    yield table(assumptions_table(answer), headings, numeric=("value",))
