"""Tables judged with the shipped curves: what is measured here is what a curve predicts, times a chosen error."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from hw_profiles.curves.gemm import gemm_s
from hw_profiles.curves.records import from_record
from hw_profiles.faults import InputFaults
from validation.bars import Bar, read_bars, verdict
from validation.calibrate import FAMILIES, PROFILES_DIR
from validation.chips import CHIPS
from validation.judged_rows import judged_rows
from validation.kernel_families import GEMM
from validation.kernels import read_fitted
from validation.known_tables import DATA_VARIABLE, default_data, find_known_tables
from validation.suites.kernels import judge_kernels

FITTED = read_fitted(PROFILES_DIR)
SLOWER = 1.25


def gemm_rows(**columns):
    """Rows that the H100's bf16 curve predicts a fifth too fast."""
    m = np.array([1.0, 64.0, 4096.0])
    curve = from_record(FITTED["h100_sxm"]["families"]["gemm"]["bfloat16"])
    measured = gemm_s(m, 7168.0, 2048.0, chip=CHIPS["h100_sxm"], curve=curve) * SLOWER
    sizes = {"m": m.astype(int), "n": 7168, "k": 2048, "latency_us": measured * 1e6}
    return pd.DataFrame({"system": "h100", "dtype": "bfloat16", **sizes} | columns)


def written(tmp_path, rows, name="gemm.csv"):
    path = tmp_path / name
    rows.to_csv(path, index=False)
    return path


def test_errors_are_signed_shares_of_the_measured_time(tmp_path):
    (row,) = judge_kernels(written(tmp_path, gemm_rows())).document["tables"]
    assert (row["table"], row["group"], row["split"], row["n"]) == ("gemm", "h100|bfloat16", "unseen", 3)
    assert row["bias"] == pytest.approx(-0.2)
    assert row["median"] == pytest.approx(0.2)
    assert row["p90"] == pytest.approx(0.2)


def test_rows_outside_the_fitted_range_are_counted_as_extrapolated(tmp_path):
    rows = gemm_rows(k=[512, 7168, 200000])
    (row,) = judge_kernels(written(tmp_path, rows)).document["tables"]
    assert (row["n"], row["extrapolated"]) == (3, 1)


def test_rows_without_a_number_are_refused_and_counted(tmp_path):
    rows = gemm_rows()
    rows.loc[1, "latency_us"] = -1.0
    document = judge_kernels(written(tmp_path, rows)).document
    assert (document["tables"][0]["n"], document["tables"][0]["refused"]) == (2, 1)
    assert [(row["row"], row["reason"]) for row in document["refused"]] == [
        (2, "a time or size that is no positive number")
    ]


def test_rows_slower_than_a_larger_m_are_scored_apart(tmp_path):
    rows = gemm_rows()
    rows.loc[0, "latency_us"] = 1e5
    (row,) = judge_kernels(written(tmp_path, rows)).document["tables"]
    assert (row["n"], row["refused"]) == (2, 1)
    assert row["median"] == pytest.approx(0.2)
    assert row["refused_median"] > 0.9


def test_rows_of_an_unknown_machine_are_skipped_with_their_number(tmp_path):
    rows = gemm_rows(system=["h100", "tpu", "tpu"])
    (skipped,) = judge_kernels(written(tmp_path, rows)).document["skipped"]
    assert skipped == {"file": "gemm.csv", "n": 2, "reason": "no fitted curve of gemm for tpu, bfloat16"}


@pytest.mark.parametrize("column", ["class", "split", "group", "m"])
def test_any_column_replaces_the_grouping_by_its_bare_value(tmp_path, column):
    rows = gemm_rows(**{column: ["1", "2", "2"]})
    document = judge_kernels(written(tmp_path, rows), by=column).document
    assert [(row["group"], row["n"]) for row in document["tables"]] == [("1", 1), ("2", 2)]


def test_a_column_that_no_table_has_is_refused(tmp_path):
    with pytest.raises(InputFaults, match="--by: got 'colour'"):
        judge_kernels(written(tmp_path, gemm_rows()), by="colour")


def test_a_single_file_is_known_by_its_columns(tmp_path):
    path = written(tmp_path, gemm_rows(), "measured_today.csv")
    assert judge_kernels(path).document["tables"][0]["table"] == "gemm"


def test_a_file_with_foreign_columns_is_refused_with_those_that_are_known(tmp_path):
    with pytest.raises(InputFaults, match="got columns a; allowed the columns of a known table"):
        find_known_tables(written(tmp_path, pd.DataFrame({"a": [1]}), "other.csv"))


def test_an_unknown_file_of_a_directory_is_skipped(tmp_path):
    written(tmp_path, gemm_rows())
    written(tmp_path, gemm_rows(), "gemm_of_today.csv")
    assert [item["file"] for item in judge_kernels(tmp_path).document["skipped"]] == ["gemm_of_today.csv"]


def test_a_directory_without_a_known_table_is_refused(tmp_path):
    with pytest.raises(InputFaults, match="no table that longsim knows"):
        find_known_tables(tmp_path)


def test_without_data_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(InputFaults, match="pass --data PATH") as caught:
        default_data()
    assert len(caught.value.faults) == 1


def test_a_source_of_the_fit_is_judged_on_its_held_out_rows(tmp_path):
    path = written(tmp_path, gemm_rows())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    sourced = {machine: {**content, "sources": {"gemm.csv": digest}} for machine, content in FITTED.items()}
    assert set(judged_rows(GEMM, path, sourced)["split"]) <= {"train", "point", "site"}
    assert set(judged_rows(GEMM, path, FITTED)["split"]) == {"unseen"}


ROW = {"family": "gemm", "curve": "bfloat16", "band": "", "split": "point", "n": 20, "median": 0.05, "p90": 0.1}
BARS = [Bar(family="gemm", words=["bfloat16"], point=0.04, site=0.08, p90=0.2)]


def test_a_bar_binds_its_split():
    assert verdict(BARS, ROW) == {"bar": {"median": 0.04, "p90": 0.2}, "ok": False}
    assert verdict(BARS, ROW | {"split": "site"})["ok"] is True


@pytest.mark.parametrize("change", [{"split": "unseen"}, {"n": 3}, {"curve": "fp8_block"}, {"curve": None}])
def test_unseen_few_and_other_rows_bear_no_verdict(change):
    assert verdict(BARS, ROW | change) == {"bar": None, "ok": None}


def test_every_bar_is_about_a_family():
    assert {bar.family for bar in read_bars()} <= {family.name for family in FAMILIES}
