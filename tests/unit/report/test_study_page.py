"""The page of an experiment and its figure."""

import pandas as pd

from simulator.report.study_figures import COLOURS, Curve, Panel, panels_figure
from simulator.report.study_page import write_study_page


def curve(name, **changes):
    values = {"x": [1.0, 2.0], "mean": [3.0, 4.0], "low": [2.0, 3.0], "high": [5.0, 6.0]} | changes
    return Curve(name=name, **values)


def panel(*curves, **changes):
    return Panel(**({"title": "T", "x_title": "step", "y_title": "loss", "curves": curves} | changes))


def test_a_curve_keeps_its_colour_and_stands_once_in_the_legend():
    drawn = panels_figure([panel(curve("a"), curve("b")), panel(curve("b"))])
    lines = [trace for trace in drawn.data if trace.fill != "toself"]
    assert [(line.name, line.line.color, line.showlegend) for line in lines] == [
        ("a", COLOURS[0], True), ("b", COLOURS[1], True), ("b", COLOURS[1], False),
    ]  # fmt: skip


def test_the_band_runs_from_least_to_most():
    band, line = panels_figure([panel(curve("a"))]).data
    assert (list(band.x), list(band.y)) == ([1.0, 2.0, 2.0, 1.0], [5.0, 6.0, 3.0, 2.0])
    assert list(line.y) == [3.0, 4.0]


def test_more_curves_than_colours_are_told_apart_by_dashes():
    drawn = panels_figure([panel(*(curve(f"c{i}") for i in range(len(COLOURS) + 1)))])
    lines = [trace.line for trace in drawn.data if trace.fill != "toself"]
    assert (lines[0].color, lines[0].dash) == (COLOURS[0], "solid")
    assert (lines[-1].color, lines[-1].dash) == (COLOURS[0], "dash")


def test_settings_are_marked_where_they_are():
    drawn = panels_figure([panel(curve("a"), marks=True, log_x=True, levels=(3.5,))])
    assert drawn.data[1].mode == "lines+markers"
    assert list(drawn.layout.xaxis.tickvals) == [1.0, 2.0]
    assert list(drawn.layout.xaxis.ticktext) == ["1", "2"]
    assert drawn.layout.xaxis.type == "log"
    assert drawn.layout.shapes[0].y0 == 3.5


def test_the_page_says_what_it_shows_and_what_it_cannot(tmp_path):
    path = tmp_path / "study.html"
    write_study_page(
        path, title="A < B", question="Which?", panels=[panel(curve("<b>bold</b>"))],
        results=pd.DataFrame({"arm": ["a"], "mean": ["3"]}), headings={"arm": "arm", "mean": "mean"},
        shows=["this"], cannot=["that"], made="Made by hand.",
    )  # fmt: skip
    page = path.read_text(encoding="utf-8")
    assert "<h1>A &lt; B</h1>" in page
    for words in ("Which?", "What it shows", "<li>this</li>", "small a scale cannot show", "<li>that</li>", "by hand"):
        assert words in page
    assert "<b>bold</b>" not in page
