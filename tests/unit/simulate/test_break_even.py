"""Step times beside communication shares: the published arithmetic's machine, on which a layer is sums of its parts."""

import numpy as np
import pandas as pd
import pytest

from hw_profiles.faults import InputFaults
from simulator.break_even import Study, bisect, break_evens, overlap_table, overlap_window
from simulator.scenario import load_scenario

LAYERS = ["model_overrides.n_layers=3"]


@pytest.fixture(scope="module")
def study():
    return Study(scenario=load_scenario("longcat-flash-report-theory", LAYERS), machine_key="tiers.nic.bytes_per_s")


def test_bisection_finds_where_the_sign_changes_whichever_way():
    assert bisect(lambda x: x - 3.0, 1.0, 10.0) == pytest.approx(3.0, rel=1e-3)
    assert bisect(lambda x: 3.0 - x, 1.0, 10.0) == pytest.approx(3.0, rel=1e-3)


def test_the_share_is_that_of_the_reports_own_row(study):
    """Table 7 at 40 GB/s: dispatch 235.93 and combine 471.86 beside 60.4 us of router and experts."""
    assert study.communication_share(40e9) == pytest.approx(707.79 / (707.79 + 60.4), rel=1e-3)


def test_twice_the_rate_halves_the_all_to_alls(study):
    at_once, at_twice = (study.communication_share(rate) for rate in (40e9, 80e9))
    odds = [share / (1 - share) for share in (at_once, at_twice)]
    assert odds[0] == pytest.approx(2 * odds[1], rel=1e-9)


def test_the_table_has_one_winner_for_each_figure_and_position(study):
    table = overlap_table(study, [40e9, 400e9], schedules=("sequential", "sbo"), shortcuts=(0, 2))
    assert list(table.columns) == ["figure", "comm_share", "shortcut", "schedule", "step_s", "hidden_share", "wins"]
    assert len(table) == 8
    winners = table[table["wins"]]
    assert (winners["step_s"].to_numpy() == table.groupby(["figure", "shortcut"])["step_s"].min().to_numpy()).all()
    sequential = table[table["schedule"] == "sequential"]
    assert (sequential["hidden_share"] == 0).all()
    in_turn = sequential.groupby("figure")["step_s"]  # no position is faster: the same ops, summed in another order
    np.testing.assert_allclose(in_turn.min(), in_turn.max(), rtol=1e-12)


def test_sbo_saves_what_the_window_hides(study):
    """Per layer, at a rate at which both sides are hidden: dispatch and combine, and the router beside the FFN."""
    scenario = study.at(4e12, schedule="sbo", shortcut=2)
    window = overlap_window(scenario).iloc[1]
    table = overlap_table(study, [4e12], schedules=("sequential", "sbo"), shortcuts=(2,))
    saved = table["step_s"].iloc[0] - table["step_s"].iloc[1]
    hidden = window["router_s"] + window["dispatch_s"] + window["combine_s"]
    assert saved == pytest.approx(3 * hidden, rel=1e-6)


@pytest.mark.parametrize("shortcut", [0, 1, 2, 3])
def test_the_window_is_the_backbone_behind_the_input(study, shortcut):
    """0: FFN; 1: attention and FFN; 2: FFN, attention and FFN; 3: both attentions and FFNs. Layers are alike, and on
    this machine norms cost nothing."""
    scenario = study.at(40e9, schedule="sbo", shortcut=shortcut)
    window_s = overlap_window(scenario)["window_s"].to_numpy()
    ffn_s = overlap_window(study.at(40e9, schedule="sbo", shortcut=0))["window_s"].to_numpy()
    attention_s = overlap_window(study.at(40e9, schedule="sbo", shortcut=1))["window_s"].to_numpy() - ffn_s
    n_attentions, n_ffns = {0: (0, 1), 1: (1, 1), 2: (1, 2), 3: (2, 2)}[shortcut]
    np.testing.assert_allclose(window_s, n_attentions * attention_s + n_ffns * ffn_s, rtol=1e-9)
    assert (attention_s > 0).all()


def test_a_break_even_lies_where_both_schedules_take_as_long(study):
    table = overlap_table(study, [20e9, 400e9], schedules=("tbo_phased", "sbo"), shortcuts=(2,))
    row = break_evens(study, table).iloc[0]
    assert (row["loses"], row["wins"]) == ("tbo_phased", "sbo")
    times = [study.step_s(row["figure"], schedule=name, shortcut=2) for name in ("tbo_phased", "sbo")]
    assert times[0] == pytest.approx(times[1], rel=2e-3)  # the bisection ends at 1e-3 of the figure
    assert row["comm_share"] == study.communication_share(row["figure"])


def test_no_change_of_the_winner_makes_no_row(study):
    table = overlap_table(study, [40e9, 80e9], schedules=("sbo",), shortcuts=(2,))
    assert break_evens(study, table).empty
    assert isinstance(break_evens(study, table), pd.DataFrame)


def test_a_key_that_the_machine_does_not_have_is_an_input_fault(study):
    wrong = Study(scenario=study.scenario, machine_key="tiers.nick.bytes_per_s")
    with pytest.raises(InputFaults, match="did you mean 'nic'"):
        overlap_table(wrong, [1e9])
