"""The page on training laws says what the studies' tables say, and the shipped traces give the cluster table."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from simulator.scenario import load_scenario
from validation.studies.cluster import SCENARIO
from workloads.replayed import load_trace, shipped_traces

ROOT = Path(__file__).parents[3]
SPEC = importlib.util.spec_from_file_location("regenerate", ROOT / "docs/regenerate_training_laws.py")
regenerate = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(regenerate)
REMEDY = "run: python docs/regenerate_training_laws.py"


def test_the_page_is_made_of_its_tables():
    page = regenerate.PAGE.read_text(encoding="utf-8")
    assert page.count("<!-- table: ") == len(list(regenerate.TABLES.glob("*.csv")))
    assert regenerate.refreshed(page, regenerate.TABLES) == page, REMEDY


def test_the_cluster_table_follows_from_the_shipped_traces():
    kept = pd.read_csv(regenerate.TABLES / "cluster.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(regenerate.cluster_rows().astype(str), kept, obj=REMEDY)


def test_shipped_traces_are_small_documented_and_of_the_scenario():
    readme = (ROOT / "workloads/traces/README.md").read_text(encoding="utf-8")
    assert shipped_traces() == ["budget-controlled", "budget-free", "mixing-grouped", "mixing-mixed"]
    for name in shipped_traces():
        assert f"`{name}`" in readme
        assert (ROOT / f"workloads/traces/{name}.npz").stat().st_size <= 1_000_000
        assert load_trace(name).n_layers == load_scenario(SCENARIO).model_spec.n_layers


def test_a_table_of_results_is_laid_out_by_the_longer_side(tmp_path):
    path = tmp_path / "s.csv"
    head = "arm,layer,of,quantity,statistic,mean,low,high,n_seeds\n"
    path.write_text(head + "a,-1,,loss,last,2,1,3,3\nb,0,digit,ffn_mean,late,4.00049,4,5,3\n")
    assert regenerate.markdown(path).splitlines() == [
        "|  | a | b |", "|---|---|---|", "| loss at the end | 2 (1 to 3) | – |",
        "| ffn_mean (digit), layer 0 | – | 4 (4 to 5) |",
    ]  # fmt: skip


def test_an_unknown_trace_names_the_shipped_ones():
    with pytest.raises(ValueError, match="or a shipped one: budget-controlled"):
        load_scenario(SCENARIO, ["routing.popularity=trace:budget-controled"])
