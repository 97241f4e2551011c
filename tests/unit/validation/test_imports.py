"""Measurements brought into a user's profile: what ships stays as it is."""

import importlib.machinery
import json

import numpy as np
import pandas as pd
import pytest

from hw_profiles.curves.all_to_all import low_latency_s
from hw_profiles.curves.batched_gemm import batched_gemm_s
from hw_profiles.curves.records import from_record
from hw_profiles.loader import load_curves, load_profile
from validation.calibrate import PROFILES_DIR
from validation.chips import CHIPS
from validation.importers import package_tables
from validation.importers.sanity import BEATS_ROOFLINE, BEATS_SIBLING, mark_suspicious
from validation.kernels import read_fitted

FITTED = read_fitted(PROFILES_DIR)
SLOWER = 1.3


def all_to_all_rows(tokens, **columns):
    """An all-to-all that takes 1.3 times what the shipped H200 curves say."""
    times = {}
    for phase in ("dispatch", "combine"):
        curve = from_record(FITTED["h200_sxm"]["families"]["deepep_low_latency"][phase])
        took = low_latency_s(np.array(tokens, float), 6144.0, 12.0, 512.0, 32.0, chip=CHIPS["h200_sxm"], curve=curve)
        times[f"{phase}_us"] = took * 1e6 * SLOWER
    shape = {"tokens_per_rank": tokens, "hidden": 6144, "topk": 12, "experts": 512, "ep": 32, "nodes": 4}
    return pd.DataFrame(shape | times | columns)


@pytest.fixture
def imported(longsim, tmp_path):
    def run(kind, rows, *options, machine="h200_sxm"):
        path = tmp_path / "mine.csv"
        rows.to_csv(path, index=False)
        return longsim("import", kind, path, "--machine", machine, "--out", tmp_path / "mine", *options)

    return run


@pytest.mark.parametrize("tokens", [[8, 64, 128], [1, 2, 4, 8, 16, 32, 64, 96, 128]], ids=["few rows", "many rows"])
def test_a_measured_all_to_all_becomes_the_curve_of_a_profile(imported, tmp_path, tokens):
    said = imported("a2a", all_to_all_rows(tokens), "--json")
    assert said.code == 0
    bounds = said.document["bounds"]
    assert len(bounds) == 2 * len(tokens)
    for row in bounds:
        assert row["measured_s"] / row["shipped_s"] == pytest.approx(SLOWER)
        assert row["fitted_s"] == pytest.approx(row["measured_s"], rel=0.06)
        assert row["tier"] == "nic"
        assert 0 < row["share_of_bound"] < 1
    mine = load_curves(str(tmp_path / "mine"))
    assert mine["deepep_low_latency", "dispatch"].curve != from_record(
        FITTED["h200_sxm"]["families"]["deepep_low_latency"]["dispatch"]
    )
    assert mine["gemm", "bfloat16"].curve == from_record(FITTED["h200_sxm"]["families"]["gemm"]["bfloat16"])
    assert load_profile(str(tmp_path / "mine")) == load_profile("h200_sxm")


def test_the_words_say_what_changes_and_the_share_of_the_bound(imported):
    lines = imported("a2a", all_to_all_rows([64, 128])).out.splitlines()
    (line,) = [line for line in lines if line.startswith("dispatch, 128 tokens, EP32")]
    assert "shipped curve" in line
    assert "of the nic bound" in line


def test_the_source_stands_in_the_profile_by_hash(imported, tmp_path):
    imported("a2a", all_to_all_rows([64, 128]))
    content = json.loads((tmp_path / "mine" / "fitted.json").read_text())
    assert len(content["sources"]["mine.csv"]) == 64
    assert content["families"]["deepep_low_latency"]["combine"]["engine"] == "measured"


FAULTY = {
    "no unit": (all_to_all_rows([8]).rename(columns={"dispatch_us": "dispatch"}), "dispatch_us: got no such column"),
    "a negative time": (all_to_all_rows([8], combine_us=-1.0), "seconds: got 1 rows"),
    "four ranks per node": (all_to_all_rows([8], nodes=8), "nodes: got 1 rows that are not ep/8 nodes"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_faulty_all_to_all_is_refused_and_the_old_profile_stays(imported, tmp_path, fault):
    imported("a2a", all_to_all_rows([64, 128]))
    before = (tmp_path / "mine" / "fitted.json").read_bytes()
    rows, words = FAULTY[fault]
    said = imported("a2a", rows)
    assert said.code == 2
    assert words in said.err
    assert (tmp_path / "mine" / "fitted.json").read_bytes() == before


def absorption_rows(factor=1.0, n=24):
    tokens = np.resize([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048], n)
    heads = np.repeat([64, 128], n // 2)
    curve = from_record(FITTED["h200_sxm"]["families"]["mla_bmm"]["mla_gen_pre|bfloat16"])
    took = batched_gemm_s(tokens.astype(float), heads.astype(float), 128.0, 512.0, chip=CHIPS["h200_sxm"], curve=curve)
    sizes = {"num_heads": heads, "num_tokens": tokens}
    return pd.DataFrame({"op": "mla_gen_pre", "dtype": "bfloat16", **sizes, "latency_us": took * 1e6 * factor})


def test_any_known_table_can_be_imported(imported):
    said = imported("csv", absorption_rows(factor=2.0), "--json")
    assert said.code == 2  # without a system column the file is recognised by no table
    said = imported("csv", absorption_rows(factor=2.0).assign(system="h200"), "--json")
    (change,) = said.document["changes"]
    assert change["median_before"] == pytest.approx(0.5, abs=0.01)
    assert change["median_after"] < 0.1


def test_rows_of_another_machine_are_refused(imported):
    said = imported("csv", absorption_rows().assign(system="h100"))
    assert "system: got 24 rows of h100_sxm; allowed rows of h200_sxm alone" in said.err


def test_what_ships_cannot_be_written_over(longsim, tmp_path):
    path = tmp_path / "mine.csv"
    all_to_all_rows([64, 128]).to_csv(path, index=False)
    said = longsim("import", "a2a", path, "--machine", "h200_sxm", "--out", PROFILES_DIR / "h200_sxm")
    assert (said.code, said.faults[0].split(":")[0]) == (2, "--out")


BAD_WORDS = {
    "an unknown kind": (["import", "a2b", "x"], "KIND: got 'a2b'"),
    "no file": (["import", "a2a", "--machine", "h20", "--out", "x"], "FILE: got nothing"),
    "no machine": (["import", "csv", "x.csv", "--out", "x"], "--machine: got nothing"),
    "no profile": (["import", "aiconfigurator"], "--out: got nothing"),
}


@pytest.mark.parametrize("fault", BAD_WORDS)
def test_bad_words_are_refused(longsim, fault):
    arguments, words = BAD_WORDS[fault]
    said = longsim(*arguments)
    assert said.code == 2
    assert words in said.err


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with two backends' absorption tables, in their units."""
    root = tmp_path / "aiconfigurator_core"
    for backend, factor in (("sglang", 1.0), ("trtllm", 1.05)):
        folder = root / "systems" / "data" / "h200_sxm" / "mla_bmm" / backend / "1.0"
        folder.mkdir(parents=True)
        rows = absorption_rows(factor)
        if backend == "sglang":
            rows.loc[23, "latency_us"] /= 50.0
        theirs = rows.rename(columns={"op": "op_name", "dtype": "bmm_dtype"}).assign(latency=rows["latency_us"] / 1e3)
        theirs.drop(columns="latency_us").to_csv(folder / "mla_bmm_perf.parquet", index=False)
    found = {
        "aiconfigurator_core": importlib.machinery.ModuleSpec("a", None, origin=str(root / "__init__.py")),
        "pyarrow": importlib.machinery.ModuleSpec("pyarrow", None),
    }
    monkeypatch.setattr(package_tables, "find_spec", found.get)
    monkeypatch.setattr(package_tables.pd, "read_parquet", pd.read_csv)
    return found


def test_a_package_is_read_fitted_and_tagged(longsim, package, tmp_path):
    said = longsim("import", "aiconfigurator", "--out", tmp_path / "mine", "--json")
    (change,) = said.document["changes"]
    assert (change["engine"], change["version"], change["rows_available"]) == ("sglang", "1.0", 24)
    assert change["median_after"] < 0.05
    assert change["refused"] == {BEATS_SIBLING: 1}
    assert change["refused_rows"] == [f"num_heads=128, num_tokens=2048: {BEATS_SIBLING}"]
    assert any(line.startswith("gemm: no table of h200_sxm") for line in said.document["skipped"])


def test_a_backend_of_choice_comes_first(longsim, package, tmp_path):
    said = longsim("import", "aiconfigurator", "--backend", "trtllm", "--out", tmp_path / "mine", "--json")
    assert said.document["changes"][0]["engine"] == "trtllm"


def test_a_system_that_the_package_lacks_is_refused_with_those_it_has(longsim, package, tmp_path):
    said = longsim("import", "aiconfigurator", "--system", "h100_sxm", "--out", tmp_path / "mine")
    assert said.faults[-1].startswith("--system: got 'h100_sxm'; allowed h200_sxm")


def test_what_is_not_installed_is_named_with_the_command(longsim, package, tmp_path):
    package.clear()
    said = longsim("import", "aiconfigurator", "--out", tmp_path / "mine")
    assert said.code == 2
    assert "pip install aiconfigurator-core" in said.err
    assert "pip install 'longsim[parquet]'" in said.err


def test_a_product_faster_than_the_datasheet_is_suspicious():
    rows = pd.DataFrame(
        {"dtype": "bfloat16", "m": [4096, 4096], "n": 8192, "k": 8192, "seconds": [1e-3, 1e-4], "fault": ""}
    )
    marked = mark_suspicious("gemm", rows, CHIPS["h100_sxm"], [], ["m", "n", "k"])
    assert marked["fault"].tolist() == ["", BEATS_ROOFLINE]
