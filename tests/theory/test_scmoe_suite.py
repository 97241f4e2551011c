"""The suite of the ScMoE paper's figures: what it predicts, what it fits, and that it does not soften its bars."""

from statistics import median

import pytest

from validation.suites import scmoe


@pytest.fixture(scope="module")
def document():
    return scmoe.scmoe_document()


def test_every_row_of_the_paper_is_there(document):
    ids = {row["id"].split(".")[0] for row in document["rows"]} | {note["id"] for note in document["notes"]}
    assert {f"S{n}" for n in range(1, 10)} <= ids


def test_positions_1_and_3_are_predicted_and_nothing_that_was_fitted_is_judged(document):
    fitted = {row["id"] for row in document["rows"] if row["fitted"]}
    assert not fitted & {"S2.pos1", "S3.pos1", "S2.pos3", "S3.pos3"}
    assert {"S2.pos2", "S3.pos2", "S4.top1.train", "S4.shared_expert.inference"} <= fitted
    assert all((row["ok"] is None) == (row["fitted"] or row["id"].startswith("S8")) for row in document["rows"])


def test_bars_are_as_wide_as_agreed(document):
    bars = {row["id"]: row["bar"] for row in document["rows"] if row["bar"]}
    assert bars["S3.pos3"] == pytest.approx([1.82 * 0.95, 1.82 * 1.05])
    assert (bars["S7.a30"], bars["S9.break_even"], bars["S9.full_hiding"]) == ([0.65, 0.75], [0.15, 0.3], [0.35, 0.65])


def test_a_row_outside_its_bar_is_missed(document):
    for row in document["rows"]:
        if row["bar"] and not row["bar"][0] <= row["predicted"] <= row["bar"][1] + 1e-9:
            assert row["ok"] is False, row


def test_the_summary_counts_and_averages_predictions_alone(document):
    judged = [row for row in document["rows"] if row["ok"] is not None]
    assert (document["summary"]["n"], document["summary"]["n_ok"]) == (len(judged), sum(row["ok"] for row in judged))
    assert document["summary"]["median"] == pytest.approx(median(abs(row["rel_error"]) for row in judged))


@pytest.mark.parametrize("row_id", ["S2.pos1", "S3.pos1", "S7.a800_one_node", "S9.break_even"])
def test_the_prediction_is_within_its_bar(document, row_id):
    row = next(row for row in document["rows"] if row["id"] == row_id)
    assert row["ok"], row


def test_the_command_shows_fitted_rows_as_such_and_missed_bars_with_exit_code_1(longsim, document):
    said = longsim("validate", "scmoe")
    assert said.code == (1 if any(row["ok"] is False for row in document["rows"]) else 0)
    assert "fitted" in said.out
    assert longsim("validate", "scmoe", "--json").document["summary"] == document["summary"]
