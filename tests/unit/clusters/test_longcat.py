"""The part of LongCat-Flash: verdicts, what the rows can tell apart, and the knobs."""

import pytest

from hw_profiles.faults import InputFaults
from simulator.scenario import load_scenario
from validation.clusters.deployed_rows import DeployedRow, scenario_of
from validation.clusters.longcat import NOT_IDENTIFIED, longcat_part
from validation.clusters.longcat_knobs import Reference, sensitivity, step_at
from validation.clusters.parts import typed_facts

SCENARIO = """
model = "tiny"
machine = "h800_sxm"
n_gpus = 8
schedule = "sbo"
layout = { ep = 8 }
batch = { sequences_per_gpu = 4, context_tokens = 1000 }
mtp = { n_draft = 1, acceptance = [0.9] }
"""
ROW = """
[rows.NAME]
what = "TPOT of mine"
scenario = "SCENARIO"
n_gpus = 8
context_tokens = 1000
sequences_per_gpu = 4
tokens_per_s_per_user = 100
tolerance = TOLERANCE
source = "me"
"""


def row_of(name, scenario, tolerance):
    return ROW.replace("NAME", name).replace("SCENARIO", str(scenario)).replace("TOLERANCE", str(tolerance))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two deployments alike, and a row of each: a bar that all schedules meet for "one", that none meets for "two"."""
    path = tmp_path_factory.mktemp("longcat")
    for name in ("one", "two"):
        (path / f"{name}.toml").write_text(SCENARIO)
    (path / "rows.toml").write_text(row_of("met", path / "one.toml", 100.0) + row_of("missed", path / "two.toml", 1e-6))
    return path


@pytest.fixture(scope="module")
def part(folder):
    return longcat_part(folder / "rows.toml", quick=True)


def test_one_row_of_each_bears_a_verdict_and_shows_what_the_host_constant_is_worth(part):
    rows = {row.id: row for row in part.rows}
    assert {name: row.ok for name, row in rows.items() if row.ok is not None} == {"met": True, "missed": False}
    assert rows["met"].reference == pytest.approx(10.0)
    host_ms = rows["met"].predicted - rows["met without host"].predicted
    assert host_ms == pytest.approx(typed_facts("longcat")["frozen"]["host_s"] * 1e3 / 1.9)  # acceptance 0.9


def test_every_row_stands_under_each_schedule_and_spread(part):
    shown = {row.id for row in part.rows}
    variants = [f"{name} cv {cv}" for name in ("sbo", "sequential", "two_stream", "tbo") for cv in ("0", "0.5", "1")]
    own = "sbo cv 1"  # under the row's own name
    variants += [f"{name} as shipped" for name in ("sbo", "sequential", "two_stream", "tbo")]
    expected = {f"met {variant}" for variant in variants if variant != own} | {"met", "met without host"}
    assert {name for name in shown if name.startswith("met")} == expected


def test_rows_that_every_schedule_meets_identify_none(part, folder):
    """Nor does the bar of the other deployment, that all miss, tell these apart."""
    (note,) = (note for note in part.notes if NOT_IDENTIFIED in note)
    assert note.startswith(f"{folder / 'one.toml'}: {NOT_IDENTIFIED}")
    assert "sequential as the scenario ships" in note


def test_rows_that_no_schedule_meets_are_said_to_be_met_by_none(part, folder):
    assert f"{folder / 'two.toml'}: all bars are met by: none" in part.notes


def test_a_fault_of_a_rows_scenario_names_the_row(tmp_path):
    path = tmp_path / "rows.toml"
    path.write_text(row_of("mine", "nowhere", 0.1))
    with pytest.raises(InputFaults, match=r"rows\.mine\.scenario: got 'nowhere'"):
        longcat_part(path, quick=True)


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


def test_every_point_passes_a_bar_that_all_meet_and_none_one_that_none_meets(folder):
    small = load_scenario(str(folder / "one.toml"))
    wide, narrow = (Reference(scenario=small, tpot_s=0.02, tolerance=t) for t in (100.0, 0.0))
    found = sensitivity([wide, narrow], 1e-3, n_points=16)
    assert list(found.passing) == [1.0, 0.0]
    assert found.share == 0.0
