import re
import subprocess
import sys
from dataclasses import replace

import pytest

from simulator.report.page import write_page


def own_markup(path):
    """The page without its scripts: what longsim itself wrote."""
    return re.sub(r"<script.*?</script>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def written(answers, tmp_path, title="report"):
    path = tmp_path / "report.html"
    write_page(answers, path, title=title)
    return path


def test_one_answer_is_told_from_words_to_scenario(make_answer, tmp_path):
    page = own_markup(written([make_answer()], tmp_path))
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == ["Timeline", "Where the time goes", "Memory", "Metrics", "What it rests on", "Scenario"]
    assert page.index("128 GPUs reach") < page.index("<h2>Timeline")
    assert "outside the measured range" in page


def test_several_answers_are_compared_before_they_are_told(make_answer, infeasible, tmp_path):
    page = own_markup(written([make_answer("sequential"), make_answer("sbo"), infeasible], tmp_path))
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["Comparison", "sequential", "sbo", "too many sequences"]
    assert page.count('<a href="#') == 4


def test_an_infeasible_answer_is_a_page_with_its_reason(infeasible, tmp_path):
    page = own_markup(written([infeasible], tmp_path))
    assert "81.2 GB do not fit the 72 GB a device may use" in page
    assert "<h2>Timeline" not in page
    assert "<h2>Memory" in page


def test_every_text_is_escaped(make_answer, tmp_path):
    evil = "</script><script>alert(1)</script>"
    answer = make_answer(evil, warnings=[evil], memory_bytes={evil: 1e9}, scenario={"model": evil, "n_gpus": 1})
    answer = replace(answer, timeline=answer.timeline.assign(op=evil, stream=evil))
    path = written([answer, replace(answer, name="other")], tmp_path, title=evil)
    assert evil not in path.read_text(encoding="utf-8")


def test_the_page_loads_nothing_from_elsewhere(make_answer, tmp_path):
    page = own_markup(written([make_answer()], tmp_path))
    assert not re.findall(r"""(?:src|href|url\()\s*=?\s*["']?\s*(?:https?:)?//""", page)
    assert "default-src 'none'" in page


def test_the_page_stays_below_six_megabytes(make_answer, tmp_path):
    answers = [make_answer(name) for name in ("sequential", "tbo", "sbo", "two_stream")]
    assert written(answers, tmp_path).stat().st_size < 6e6


def test_an_unwritable_path_raises_and_leaves_nothing(make_answer, tmp_path):
    with pytest.raises(OSError, match="absent"):
        write_page([make_answer()], tmp_path / "absent" / "report.html", title="nowhere")
    assert list(tmp_path.iterdir()) == []


def test_words_tables_and_trace_do_without_plotly():
    modules = "words, comparison_words, tables, timeline_file"
    check = f"import sys; from simulator.report import {modules}; sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
