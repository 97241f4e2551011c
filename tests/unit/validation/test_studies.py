"""Studies of the training laws: the same seed has the same curve, a stopped run goes on alike."""

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="the studies need torch")

from dataclasses import replace

from validation.studies.catalogue import STUDIES
from validation.studies.conduct import conduct, judged, shortened
from validation.studies.plan import Plan, quick
from validation.studies.runs import train
from validation.studies.study import Bar, Measure, Study, Sweep, View, panels, results, verdicts
from validation.studies.text import CLASSES, byte_classes, corpora, held_out_batch, training_batch
from validation.studies.training import Training
from workloads.zoo import activated_parameters

TINY = replace(quick(Plan()), n_steps=4, record_every=1)


@pytest.fixture(autouse=True)
def _one_batch_held_out(monkeypatch):
    monkeypatch.setattr("validation.studies.training._HELD_OUT_BATCHES", 1)


def silent(_steps):
    pass


class StoppedError(Exception):
    pass


def stopping_after(n):
    def tell(steps):
        if steps >= n:
            raise StoppedError

    return tell


def test_the_same_seed_has_the_same_curve_and_another_seed_another(tmp_path):
    first, again = (train(TINY, 1, tmp_path / f"{i}.pt", silent).record for i in range(2))
    other = train(TINY, 2, tmp_path / "other.pt", silent).record
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert not first["value"].equals(other["value"])


@pytest.mark.parametrize("plan", [TINY, replace(TINY, grows_at=2), replace(TINY, gradient_ratio=0.5, mix="grouped")])
def test_a_stopped_run_goes_on_to_the_same_curve(tmp_path, monkeypatch, plan):
    monkeypatch.setattr("validation.studies.runs._KEEP_EVERY", 1)
    whole = train(plan, 1, tmp_path / "whole.pt", silent)
    for after in (1, 2, 3):  # before a stack of layers, at it, behind it
        with pytest.raises(StoppedError):
            train(plan, 1, tmp_path / "broken.pt", stopping_after(after))
    resumed = train(plan, 1, tmp_path / "broken.pt", silent)
    pd.testing.assert_frame_equal(whole.record, resumed.record, check_exact=True)
    for ours, theirs in zip(whole.training.model.parameters(), resumed.training.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_finished_run_is_not_trained_again(tmp_path, monkeypatch):
    done = train(TINY, 1, tmp_path / "run.pt", silent)
    monkeypatch.setattr(Training, "advance", lambda _: pytest.fail("trained again"))
    assert train(TINY, 1, tmp_path / "run.pt", silent).record.equals(done.record)


@pytest.mark.parametrize("content", [b"", b"no checkpoint"])
def test_a_broken_checkpoint_or_one_of_another_plan_is_not_used(tmp_path, content):
    path = tmp_path / "run.pt"
    path.write_bytes(content)
    first = train(TINY, 1, path, silent).record
    train(replace(TINY, learning_rate=1e-3), 1, path, silent)
    assert train(TINY, 1, path, silent).record.equals(first)


def test_a_run_of_other_code_is_not_taken_up(tmp_path, monkeypatch):
    train(TINY, 1, tmp_path / "run.pt", silent)
    monkeypatch.setattr("validation.studies.runs._code_version", lambda: "edited")
    told = []
    train(TINY, 1, tmp_path / "run.pt", told.append)
    assert told == [1, 2, 3, 4]


def test_growth_doubles_the_layers_and_keeps_the_schedule(tmp_path):
    run = train(replace(TINY, grows_at=2), 1, tmp_path / "run.pt", silent)
    means = run.record[(run.record["quantity"] == "ffn_mean") & (run.record["of"] == "")]
    assert means.groupby("step")["layer"].nunique().to_dict() == {1: 1, 2: 1, 3: 2, 4: 2}
    rate = [group["lr"] for group in run.training.optimiser.param_groups]
    assert rate == pytest.approx([run.training.plan.learning_rate * 0.1] * 3)


def test_activated_parameters_follow_the_ffn_experts_of_each_class():
    seen = Training(TINY, 1).advance()
    spec = TINY.spec()
    for of in ("", "letter"):
        mean_ffn = sum(seen[layer, of, "ffn_mean"] for layer in range(2)) / 2
        by_hand = activated_parameters(spec, 0.0) + 2 * mean_ffn * 3 * spec.hidden * spec.moe.expert_ffn
        assert seen[-1, of, "activated_parameters"] == pytest.approx(by_hand)


def test_a_short_run_stacks_at_its_share_of_the_steps():
    assert [quick(replace(Plan(), n_steps=600, grows_at=at)).grows_at for at in (0, 60, 150, 300)] == [0, 1, 3, 6]


def test_the_controller_moves_biases_and_none_leaves_them():
    with_one, without = Training(TINY, 1), Training(replace(TINY, step_size=0.0), 1)
    for training in (with_one, without):
        training.advance()
    n = TINY.n_routed_experts
    assert with_one.routers[0].bias_E[:n].abs().max() > 0.0
    assert with_one.routers[0].bias_E[n:].abs().max() == without.routers[0].bias_E.abs().max() == 0.0


def test_a_chosen_alpha_gives_the_ratio_that_was_asked_for():
    seen = Training(replace(TINY, gradient_ratio=0.5), 1).advance()
    ratios = [value for (_, _, name), value in seen.items() if name == "gradient_ratio"]
    assert max(ratios) == pytest.approx(0.5)
    assert len(ratios) == TINY.n_layers


def test_batches_are_of_text_and_follow_their_mix():
    prose, code = corpora()["prose"], corpora()["code"]
    assert b"statement" in prose.train.tobytes()
    assert b"def " in code.train.tobytes()
    assert len(prose.train) == len(code.train)
    grouped = [training_batch("grouped", 6, 8, 1, step).domain_B for step in range(20)]
    assert all(len(set(domain_B)) == 1 for domain_B in grouped)
    assert {int(domain_B[0]) for domain_B in grouped} == {0, 1}
    mixed = training_batch("mixed", 6, 8, 1, 3)
    assert mixed.ids_BS.shape == (6, 9)
    assert np.array_equal(mixed.ids_BS, training_batch("mixed", 6, 8, 1, 3).ids_BS)
    assert not np.array_equal(mixed.ids_BS, training_batch("mixed", 6, 8, 2, 3).ids_BS)
    assert held_out_batch("mixed", 6, 8, 0).ids_BS.tobytes() != mixed.ids_BS.tobytes()


def test_classes_of_bytes():
    of = byte_classes()
    assert [CLASSES[of[ord(letter)]] for letter in "a9 \n(_"] == [
        "letter", "digit", "space", "space", "punctuation", "punctuation",
    ]  # fmt: skip


RECORDS = pd.DataFrame(
    [
        (arm, seed, step, layer, "", "x", value)
        for arm, factor in (("one", 1.0), ("two", 2.0))
        for seed in (1, 2)
        for layer in (0, 1)
        for step, value in ((2, 9.0), (4, factor * (seed + layer)))
    ],
    columns=["arm", "seed", "step", "layer", "of", "quantity", "value"],
)


def study(**changes):
    made = Study(
        name="s", title="S", question="?", arms={}, measures=[Measure(quantity="x")], shows=["a"], cannot=["b"],
        views=[View(quantity="x", title="X", y_title="x"), View(quantity="absent", title="Y", y_title="y"),
               Sweep(measures={"": Measure(quantity="x")}, title="Z", x_title="setting", y_title="x",
                     place={"one": ("both", 10.0), "two": ("both", 20.0)})],
    )  # fmt: skip
    return replace(made, **changes)


def test_results_are_means_over_layers_with_the_spread_of_seeds():
    found = results(study(), RECORDS).set_index("arm")
    assert found.loc["one", ["mean", "low", "high", "n_seeds"]].tolist() == [2.0, 1.5, 2.5, 2]
    assert found.loc["two", ["mean", "low", "high", "n_seeds"]].tolist() == [4.0, 3.0, 5.0, 2]


def test_a_bar_is_judged_by_the_worst_seed_of_each_layer():
    bar = Bar(arm="one", measure=Measure(quantity="x", layers="each"), target=2.0, tolerance=0.25)
    found = verdicts(study(bars=[bar]), RECORDS)
    assert found[["layer", "worst", "ok"]].to_numpy().tolist() == [[0, 1.0, False], [1, 3.0, False]]
    assert judged(found)[0] == "one, layer 0: x 1 in the worst seed, target 2 within 25%: missed."
    wide = verdicts(study(bars=[replace(bar, tolerance=0.5)]), RECORDS)
    assert wide["ok"].all()


def test_panels_over_steps_and_over_settings():
    over_steps, over_setting = panels(study(), RECORDS)
    assert [curve.name for curve in over_steps.curves] == ["one", "two"]
    assert (over_steps.curves[0].x, over_steps.curves[0].high) == ([2, 4], [9.0, 3.0])
    (curve,) = over_setting.curves
    assert (curve.x, curve.mean, curve.low) == ([10.0, 20.0], [2.0, 4.0], [1.5, 3.0])


@pytest.mark.slow
def test_a_quick_study_writes_records_results_page_and_traces(tmp_path):
    told = []
    found = conduct(shortened(STUDIES["budget"]), tmp_path, (1,), lambda *heard: told.append(heard))
    assert {path.name for path in tmp_path.iterdir()} == {"records.csv", "results.csv", "budget.html", "runs", "traces"}
    assert {path.stem for path in (tmp_path / "traces").iterdir()} == set(STUDIES["budget"].traces)
    assert told[-1][0] == told[-1][1] == 24
    page = (tmp_path / "budget.html").read_text()
    assert "What so small a scale cannot show" in page
    assert set(found.results["arm"]) == set(STUDIES["budget"].arms)
    assert found.verdicts.empty


def test_every_study_has_repeats_arms_and_words():
    for name, one in STUDIES.items():
        assert one.name == name
        assert len(one.arms) >= 2
        assert one.shows
        assert one.cannot
        assert set(one.traces.values()) <= set(one.arms)
        for arm, plan in one.arms.items():
            plan.spec()
            assert plan.n_steps % plan.record_every == 0, arm
