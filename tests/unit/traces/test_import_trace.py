"""`longsim import trace`: per device on the terminal, a table, a page beside a simulated step."""

import csv
import re

import pytest


def range_of(cat, name, ts, dur, tid):
    return {"ph": "X", "cat": cat, "name": name, "pid": 0, "tid": tid, "ts": ts, "dur": dur, "args": {"stream": tid}}


EVENTS = [
    event
    for step, at in ((1, 0.0), (2, 1000.0), (3, 2000.0))
    for event in (
        range_of("gpu_user_annotation", f"ProfilerStep#{step}", at, 900.0, 7),
        range_of("gpu_user_annotation", f"ProfilerStep#{step}", at, 900.0, 20),
        range_of("kernel", "gemm", at, 100.0 * step, 7),
        range_of("kernel", "ncclDevKernel_SendRecv", at + 50.0, 200.0, 20),
    )
]


@pytest.fixture
def trace(trace_file):
    return trace_file(EVENTS)


def test_one_line_per_device_says_communication_exposed_and_busy(longsim, trace):
    said = longsim("import", "trace", trace)
    assert (said.code, said.err) == (0, "")
    (line,) = [line for line in said.out.splitlines() if "measured" in line]
    # 3 x 200 µs; beside them GEMMs of 100, 200 and 300 µs from 50 µs before: 150, 50 and 0 µs stand alone.
    assert re.findall(r"\d+ (?:µs|%)", line) == ["600 µs", "200 µs", "67 %", "600 µs", "600 µs"]


def test_the_document_has_one_step_where_one_is_asked_for(longsim, trace):
    document = longsim("import", "trace", trace, "--step", "2", "--json").document
    (device,) = document["measured"]["devices"]
    assert device["comm_s"] == pytest.approx(200e-6, abs=1e-12)
    assert device["exposed_comm_s"] == pytest.approx(50e-6, abs=1e-12)
    assert device["overlap_ratio"] == pytest.approx(0.75, abs=1e-9)
    assert (document["steps"], document["step"]) == ([1, 2, 3], 2)


def test_the_table_has_a_row_per_kernel(longsim, trace, tmp_path):
    said = longsim("import", "trace", trace, "--out", tmp_path / "rows.csv")
    assert said.code == 0
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["op"] for row in rows] == ["gemm", "ncclDevKernel_SendRecv"] * 3


def test_the_page_shows_both_timelines_and_their_metrics(longsim, trace, scenario_file, tmp_path):
    page = tmp_path / "page.html"
    said = longsim("import", "trace", trace, "--beside", scenario_file(), "--report", page, "--json")
    assert said.code == 0
    assert said.document["step"] == 1  # 250 µs, 250 µs and 300 µs: of equal ones the first
    text = page.read_text(encoding="utf-8")
    markup = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert '<th class="number">measured</th><th class="number">simulated</th>' in markup
    assert "measured, every rank" in text
    assert "simulated, every rank" in text
    assert "busy: gemm" in markup


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (["--step", "9"], "--step"),
        (["--machine", "h200_sxm"], "--machine"),
        (["--report", "/nowhere/page.html"], "--report"),
        (["--beside", "no-such-scenario"], "scenario"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_2(longsim, trace, options, field):
    said = longsim("import", "trace", trace, *options)
    assert said.code == 2
    (line,) = said.faults
    assert line.startswith(field)


def test_a_broken_file_is_one_line_and_exit_code_2(longsim, tmp_path):
    (tmp_path / "trace.json").write_text('{"traceEvents": [{"ph"')
    said = longsim("import", "trace", tmp_path / "trace.json")
    assert said.code == 2
    (line,) = said.faults
    assert "ends too early: after 0 whole events, at byte 22" in line


def test_options_of_traces_are_refused_elsewhere(longsim, trace, tmp_path):
    said = longsim("import", "csv", trace, "--out", tmp_path, "--machine", "h200_sxm", "--beside", "x")
    assert said.code == 2
    assert said.faults[0].startswith("--beside")
