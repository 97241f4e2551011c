"""Fitting from the command line: sound tables give files, faulty ones give words and nothing else."""

import json

import pandas as pd
import pytest

from hw_profiles.curves.batched_gemm import batched_gemm_s
from hw_profiles.curves.records import from_record
from validation.calibrate import PROFILES_DIR
from validation.chips import CHIPS
from validation.fitted_files import differences, write_fitted
from validation.kernels import read_fitted

CURVE = read_fitted(PROFILES_DIR)["h100_sxm"]["families"]["mla_bmm"]["mla_gen_pre|bfloat16"]


def absorption_rows(factor=1.0, **columns):
    """Times of the shipped absorption curve, times `factor`."""
    tokens = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048] * 2
    heads = [64] * 12 + [128] * 12
    curve = from_record(CURVE)
    took = [
        float(batched_gemm_s(t, h, 128, 512, chip=CHIPS["h100_sxm"], curve=curve))
        for t, h in zip(tokens, heads, strict=True)
    ]
    table = {"system": "h100", "op": "mla_gen_pre", "dtype": "bfloat16", "num_heads": heads, "num_tokens": tokens}
    return pd.DataFrame(table | {"latency_us": [1e6 * factor * s for s in took]} | columns)


@pytest.fixture
def calibrated(longsim, tmp_path):
    def run(rows, *options, file="mla_bmm.csv"):
        rows.to_csv(tmp_path / file, index=False)
        return longsim("calibrate", "--data", tmp_path, "--out", tmp_path / "out", *options)

    return run


def test_a_table_becomes_a_file_of_its_machine(calibrated, tmp_path):
    said = calibrated(absorption_rows(), "--json")
    path = tmp_path / "out" / "h100_sxm" / "fitted.json"
    assert said.code == 0
    assert said.document == {"written": [str(path)], "checked": False, "differences": []}
    content = json.loads(path.read_text())
    assert list(content["families"]) == ["elementwise", "mla_bmm"]
    assert list(content["sources"]) == ["mla_bmm.csv"]


def test_other_tables_than_the_shipped_ones_differ_from_them(calibrated):
    said = calibrated(absorption_rows(), "--check", "--json")
    assert said.code == 1
    assert any(line.startswith("h100_sxm/sources") for line in said.document["differences"])


FAULTY = {
    "a unit that is not what the header says": (absorption_rows(factor=1e-3), "0.001 times those of the shipped curve"),
    "no unit": (absorption_rows().rename(columns={"latency_us": "latency"}), "latency_us: got no such column"),
    "no rows": (absorption_rows().head(0), "got no rows"),
    "times that are none": (absorption_rows(latency_us=0.0), "seconds: got 24 rows that are no positive number"),
    "machines that nobody knows": (absorption_rows(system="h1OO"), "system: got h1OO"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_faulty_table_is_refused_and_nothing_is_written(calibrated, tmp_path, fault):
    rows, words = FAULTY[fault]
    said = calibrated(rows)
    assert said.code == 2
    assert words in said.err
    assert not (tmp_path / "out").exists()


def test_every_faulty_table_is_named_at_once(calibrated, tmp_path):
    (tmp_path / "gemm.csv").write_text("system,dtype\nh100")
    said = calibrated(absorption_rows(latency_us=-1.0))
    assert "gemm.csv: latency_us" in said.err
    assert "mla_bmm.csv: seconds" in said.err


def test_machines_without_a_datasheet_are_left_aside_by_name(calibrated):
    rows = pd.concat([absorption_rows(), absorption_rows(system="tpu")])
    assert "left aside: mla_bmm.csv: 24 rows of tpu" in calibrated(rows).err


def test_calibrate_without_out_or_check_is_refused(longsim, tmp_path):
    said = longsim("calibrate", "--data", tmp_path)
    assert (said.code, said.faults[0].split(":")[0]) == (2, "--out")


def test_numbers_are_compared_to_six_digits():
    assert list(differences({"a": 1.0000001, "b": [2.0]}, {"a": 1.0, "b": (2.0,)})) == []
    assert list(differences({"a": 1.00001}, {"a": 1.0})) == ["a: fitted here 1.00001, shipped 1.0"]
    assert list(differences({"a": {}}, {})) == ["a: fitted here 0 entries, shipped nothing"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    (old,) = write_fitted({"h20": {"families": {}}}, tmp_path)
    before = old.read_text()
    with pytest.raises(TypeError):
        write_fitted({"h20": {"families": object()}}, tmp_path)
    assert old.read_text() == before
    assert list(old.parent.iterdir()) == [old]
