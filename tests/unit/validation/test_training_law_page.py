"""The page on training laws says what the studies' tables say, and the shipped traces give the cluster table."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from simulator.scenario import load_scenario
from validation.studies.cluster import SCENARIO
from validation.studies.text import CLASSES
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


def figures(study, quantity, *, statistic="late", of="", layer=-1):
    """Mean, least and most of the seeds by arm."""
    table = pd.read_csv(regenerate.TABLES / f"{study}.csv", keep_default_na=False)
    own = (table["quantity"] == quantity) & (table["statistic"] == statistic)
    return table[own & (table["of"] == of) & (table["layer"] == layer)].set_index("arm")[["mean", "low", "high"]]


def losses(study, of=""):
    return figures(study, "held_out_loss", statistic="last", of=of)


def is_below(table, lower, higher):
    """Whether every seed of an arm is below every seed of another: what the page calls beyond the spread of seeds."""
    return table.loc[lower, "high"] < table.loc[higher, "low"]


def test_the_budget_holds_within_a_hundredth_and_letters_take_most():
    for layer in range(4):
        held = figures("budget", "ffn_mean", layer=layer).loc["controller"]
        assert 0.99 * 4.0 <= held["low"] <= held["high"] <= 1.01 * 4.0
        assert held["mean"] > 4.0  # a little above: integral action lags
    by_class = {of: figures("budget", "ffn_mean", of=of).loc["controller"] for of in CLASSES}
    for of in ("digit", "space", "punctuation"):
        assert by_class[of]["high"] < by_class["letter"]["low"]


def test_grouped_domains_cost_balance_and_loss_at_every_step_size():
    hottest, loss = figures("mixing", "hottest_expert"), losses("mixing")
    for mu in ("0.1", "0.3", "1"):
        assert hottest.loc[f"grouped, mu {mu}", "mean"] > hottest.loc[f"mixed, mu {mu}", "mean"]
        cost = loss.loc[f"grouped, mu {mu}", "mean"] - loss.loc[f"mixed, mu {mu}", "mean"]
        assert cost == pytest.approx(0.1, abs=0.015)
    assert is_below(hottest, "mixed, mu 0.1", "grouped, mu 0.1")
    assert is_below(hottest, "mixed, mu 0.1", "mixed, mu 1")


def test_the_balance_loss_shows_at_ten_and_not_at_a_tenth():
    hottest, spread, alpha = (figures("balance", name) for name in ("hottest_device", "ffn_std", "alpha"))
    assert is_below(hottest, "alpha for R_g = 10", "controller alone")
    assert is_below(spread, "alpha for R_g = 10", "controller alone")
    assert not is_below(hottest, "alpha for R_g = 0.1", "controller alone")
    assert alpha["mean"].is_monotonic_increasing
    assert not is_below(losses("balance"), "controller alone", "alpha for R_g = 10")


def test_reading_an_earlier_state_costs_nothing():
    plain, longcat, earliest = (
        "none (position of a plain MoE)", "position 2 (after the first attention; LongCat)",
        "position 3 (input of the layer)",
    )  # fmt: skip
    assert is_below(losses("shortcut"), longcat, plain)
    assert is_below(losses("shortcut"), earliest, longcat)
    assert losses("shortcut")["mean"].idxmax() == plain


def test_a_stacked_start_ends_level_with_a_random_one():
    random = "random start, 4 layers"
    for table in (losses("growth"), figures("growth", "loss")):
        for stacked in table.index.drop(random):
            assert not is_below(table, stacked, random)
            assert not is_below(table, random, stacked)
        assert table["mean"].idxmax() == "2 layers, stacked half-way"


def test_epsilon_hurts_from_the_least_gradient_on():
    loss, usual = losses("epsilon"), "epsilon 1e-16"
    for harmless in ("epsilon 1e-08", "epsilon 1e-06", "epsilon 1e-05"):
        assert not is_below(loss, usual, harmless)
    for harmful in ("epsilon 0.0001", "epsilon 0.001", "epsilon 0.01"):
        assert is_below(loss, usual, harmful)
    least, most = (figures("epsilon", f"gradient_rms_{which}").loc[usual, "mean"] for which in ("least", "most"))
    assert 0.5e-4 < least < 1e-4 < most < 1e-2


def test_alpha_and_gamma_keep_variances_and_alpha_gains_no_loss():
    logits, outputs = (figures("variance", f"{of}_variance", statistic="first")["mean"] for of in ("logit", "moe"))
    with_alpha = [logits[f"alpha on, width {width}"] for width in (24, 48, 96)]
    without = [logits[f"alpha off, width {width}"] for width in (24, 48, 96)]
    assert max(with_alpha) / min(with_alpha) < 1.05
    assert without[0] > 2 * without[1] > 4 * without[2]
    for split in (2, 4):
        assert outputs[f"gamma on, split {split}"] == pytest.approx(outputs["gamma on, split 1"], rel=0.25)
        expected = outputs["gamma off, split 1"] / split**2
        assert outputs[f"gamma off, split {split}"] == pytest.approx(expected, rel=0.25)
    assert is_below(losses("variance"), "alpha off, width 48", "alpha on, width 48")
    assert not is_below(losses("variance"), "gamma on, split 4", "gamma off, split 4")


def test_the_hidden_z_loss_holds_activations_down_and_costs_no_loss():
    largest = figures("activations", "largest_activation")["mean"]
    assert largest["lambda 1e-05"] / largest["no z-loss"] == pytest.approx(1 / 2, abs=0.05)
    assert largest["lambda 0.0001"] / largest["no z-loss"] == pytest.approx(1 / 4, abs=0.05)
    for weight in ("lambda 1e-05", "lambda 0.0001"):
        assert is_below(losses("activations"), weight, "no z-loss")
