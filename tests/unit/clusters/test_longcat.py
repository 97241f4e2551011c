"""The part of LongCat-Flash: verdicts, what the rows can tell apart, and the knobs."""

import pytest

from validation.clusters.deployed_rows import DeployedRow, scenario_of
from validation.clusters.longcat import NOT_IDENTIFIED, longcat_part
from validation.clusters.longcat_knobs import Reference, sensitivity, step_at
from validation.clusters.parts import typed_facts

ROW = """
[rows.mine]
what = "TPOT of mine"
scenario = "longcat-flash-lite-decode-h800x8"
n_gpus = 8
context_tokens = 1000
sequences_per_gpu = 4
tokens_per_s_per_user = 100
tolerance = {tolerance}
source = "me"
"""


@pytest.fixture
def part_of(tmp_path):
    def part(tolerance):
        path = tmp_path / "rows.toml"
        path.write_text(ROW.format(tolerance=tolerance))
        return longcat_part(path, quick=True)

    return part


def test_one_row_of_each_bears_a_verdict_and_shows_what_the_host_constant_is_worth(part_of):
    rows = {row.id: row for row in part_of(1e-6).rows}
    assert [name for name, row in rows.items() if row.ok is not None] == ["mine"]
    assert rows["mine"].reference == pytest.approx(10.0)
    host_ms = rows["mine"].predicted - rows["mine without host"].predicted
    assert host_ms == pytest.approx(typed_facts("longcat")["frozen"]["host_s"] * 1e3 / 1.9)  # acceptance 0.9


def test_rows_that_every_schedule_meets_identify_none(part_of):
    assert any(note.startswith(NOT_IDENTIFIED) for note in part_of(100.0).notes)


def test_rows_that_no_schedule_meets_are_said_to_be_met_by_none(part_of):
    assert "all bars are met by: none" in part_of(1e-6).notes


def test_the_judged_rows_are_those_of_the_report_at_ten_percent():
    rows = typed_facts("longcat")["rows"]
    assert {name: row["tokens_per_s_per_user"] for name, row in rows.items()} == {"M3": 35, "M4": 68.9, "M6": 26.4}
    assert all("tolerance" not in row for row in rows.values())
    assert DeployedRow.tolerance == 0.1


def scenario(settings=None):
    row = DeployedRow(what="", scenario="longcat-flash-decode-h800x128", n_gpus=128, context_tokens=4000.0,
                      tokens_per_s_per_user=50.0, source="", sequences_per_gpu=64.0)  # fmt: skip
    return scenario_of(row, {"run.interference": "all", **(settings or {})})


def test_each_knob_of_the_all_to_all_moves_a_step_its_way():
    base = step_at(scenario(), {})
    assert (
        step_at(scenario(), {"all-to-all bandwidth": 1.2}) < base < step_at(scenario(), {"all-to-all bandwidth": 0.8})
    )
    assert step_at(scenario(), {"all-to-all latency": 0.8}) < base < step_at(scenario(), {"all-to-all latency": 1.2})
    assert step_at(scenario(), {"interference shares": 1.2}) < base < step_at(scenario(), {"interference shares": 0.8})


def test_every_point_passes_a_bar_that_all_meet_and_none_one_that_none_meets():
    wide, narrow = (Reference(scenario=scenario(), tpot_s=0.02, tolerance=t) for t in (100.0, 0.0))
    found = sensitivity([wide, narrow], 1e-3, n_points=16)
    assert list(found.passing) == [1.0, 0.0]
    assert found.share == 0.0
