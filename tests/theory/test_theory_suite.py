"""The published theory, by the ordinary path; and that the suite can fail."""

from collections import Counter

import pytest

from hw_profiles.loader import load_profile
from simulator.scenario_schema import Scenario
from validation.suites import theory


@pytest.fixture(scope="module")
def document():
    return theory.theory_document()


ROWS = [row_id for row_id, _ in theory._flatten(theory.published()["row"])]


def test_the_suite_covers_the_parameters_and_every_cell_of_table_7():
    cells = {f"T{n}.{cell}" for n in (1, 2, 3) for cell in ("attention", "dispatch", "moe", "combine")}
    totals = {f"T{n}.{model}" for n in (4, 5, 6) for model in ("longcat", "deepseek", "qwen")}
    activated = {f"P{n}.{which}" for n in (2, 3, 4) for which in ("min", "mean", "max")}
    assert set(ROWS) == cells | totals | activated | {"P1.total", "P3.total", "P4.total", "P5.kv_bytes"}


@pytest.mark.parametrize("row_id", ROWS)
def test_the_row_is_within_its_bar(document, row_id):
    row = next(row for row in document["rows"] if row["id"] == row_id)
    assert abs(row["rel_error"]) <= row["tolerance"], row
    assert row["ok"]


def test_no_id_stands_twice(document):
    assert max(Counter(row["id"] for row in document["rows"]).values()) == 1


def test_a_row_says_what_it_predicts_what_is_published_and_where(document):
    for row in document["rows"]:
        assert {"id", "predicted", "reference", "unit", "rel_error", "ok", "source"} <= set(row)
        assert row["rel_error"] == pytest.approx((row["predicted"] - row["reference"]) / row["reference"], abs=1e-12)
        assert row["source"]


def test_bars_are_as_wide_as_agreed(document):
    for row in document["rows"]:
        assert row["tolerance"] <= (0.05 if row["id"].endswith(".attention") else 0.01), row["id"]


def test_rounded_and_contradicting_figures_are_shown_beside_the_recomputed_ones(document):
    printed = {row["id"]: (row["printed"], row["reference"]) for row in document["rows"]}
    assert printed["P2.min"] == (18.6, 18.694)  # truncated
    assert printed["T5.deepseek"][0] == 30  # its own rows give 30.6
    assert printed["T5.deepseek"][1] == pytest.approx(30.6, abs=0.05)


def test_the_suite_says_what_the_theory_leaves_out(document):
    said = " ".join(note["text"] for note in document["notes"])
    for left_out in ("LM head", "draft head", "three dense layers", "inside the node", "plain two-batch order"):
        assert left_out in said


def test_dispatch_and_combine_are_tokens_times_experts_times_hidden_over_the_rate(document):
    """192 tokens (96 sequences, one draft) x 8 experts x hidden x 1 or 2 bytes over 40 GB/s, by hand [us]."""
    predicted = {row["id"]: row["predicted"] for row in document["rows"]}
    for table, hidden, sequences in (("T1", 6144, 96), ("T2", 7168, 96), ("T3", 4096, 96)):
        dispatch_us = 2 * sequences * 8 * hidden / 40e9 * 1e6
        assert predicted[f"{table}.dispatch"] == pytest.approx(dispatch_us, rel=1e-9)
        assert predicted[f"{table}.combine"] == pytest.approx(2 * dispatch_us, rel=1e-9)


def test_another_nic_breaks_the_rows_that_rest_on_it(monkeypatch, tmp_path):
    text = (theory.Path(load_profile.__globals__["_DATA"]) / "longcat_report_theory" / "profile.toml").read_text()
    (tmp_path / "profile.toml").write_text(
        text.replace("bytes_per_s = { value = 4.0e10", "bytes_per_s = { value = 4.4e10")
    )
    slower = load_profile(str(tmp_path))
    assert slower.tiers["nic"].bytes_per_s == 4.4e10
    monkeypatch.setattr(Scenario, "profile", slower)
    missed = {row.id for row in theory.theory_rows() if not row.document["ok"]}
    assert {"T1.dispatch", "T1.combine", "T2.dispatch", "T3.combine", "T4.longcat", "T5.longcat", "T6.qwen"} <= missed
    assert not any(row_id.startswith("P") or row_id.endswith((".moe", ".attention")) for row_id in missed)
