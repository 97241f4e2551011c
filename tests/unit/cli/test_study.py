"""`longsim study` in this process."""

import pytest

pytest.importorskip("torch", reason="the studies need torch")


def test_an_unknown_study_names_the_nearest(longsim):
    said = longsim("study", "buget")
    assert said.code == 2
    assert said.out == ""
    assert "study: got 'buget'" in said.err
    assert "did you mean 'budget'?" in said.err


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_trained(longsim, tmp_path):
    said = longsim("study", "budget", "--quick", "--out", tmp_path / "none" / "out")
    assert said.code == 2
    assert said.out == ""
    assert "--out: got" in said.err
    assert "does not exist" in said.err


@pytest.mark.slow
def test_a_quick_study_answers_and_a_second_call_trains_nothing(longsim, tmp_path):
    out = tmp_path / "out"
    first = longsim("study", "activations", "--quick", "--out", out, "--json")
    assert first.code == 0
    assert {row["quantity"] for row in first.document["results"]} >= {"largest_activation", "held_out_loss"}
    assert "seed 1: 4 of 36 steps" in first.err  # a record every four steps
    assert f"page: {out / 'activations.html'}" in first.err
    records = (out / "records.csv").read_bytes()
    again = longsim("study", "activations", "--quick", "--out", out)
    assert again.code == 0
    assert "seed 1: 4 of 36 steps" not in again.err
    assert "no z-loss" in again.out
    assert "largest_activation" in again.out
    assert (out / "records.csv").read_bytes() == records
