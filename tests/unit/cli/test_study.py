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


def test_a_quick_study_answers_in_one_document_and_a_second_call_trains_nothing(longsim, tmp_path):
    out = tmp_path / "out"
    first = longsim("study", "activations", "--quick", "--out", out, "--json")
    assert first.code == 0
    assert {row["quantity"] for row in first.document["results"]} >= {"largest_activation", "held_out_loss"}
    assert "seed 1: 2 of 36 steps" in first.err  # a record every two steps
    assert f"page: {out / 'activations.html'}" in first.err
    again = longsim("study", "activations", "--quick", "--out", out, "--json")
    assert again.document == first.document
    assert "seed 1: 2 of 36 steps" not in again.err


def test_results_are_a_table_in_words(longsim, tmp_path):
    said = longsim("study", "activations", "--quick", "--out", tmp_path / "out")
    assert said.code == 0
    assert "no z-loss" in said.out
    assert "largest_activation" in said.out
