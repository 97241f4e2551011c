"""The loop on this machine: options refused, predictions before the layers run, an answer that says what it lacks."""

import json
from contextlib import nullcontext

import pytest

pytest.importorskip("torch", reason="the loop runs PyTorch layers")

from hw_profiles.faults import InputFaults
from validation.live import loop
from validation.live.loop import PREDICTIONS_FILE, LiveOptions, planned_rows, run_live
from validation.live.processes import RankFailedError
from validation.measurements import read_measurements, shape_text
from validation.suites.live import live_document, not_exercised
from workloads.zoo import longcat_flash


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_ranks": 0}, "--ranks: got 0"),
        ({"n_ranks": 65}, "--ranks: got 65"),
        ({"device": "gpu"}, "--device: got 'gpu'"),
        ({"machine": "cpu_cor"}, "--machine: got 'cpu_cor'; .* did you mean 'cpu_core'"),
        ({"machine": "h100_sxm"}, "--machine: got 'h100_sxm' for what was measured on a processor"),
        ({"link": "1 parsec"}, "--link: got '1 parsec'"),
        ({"device": "cuda", "link": "1gbit", "machine": "h200_sxm", "n_ranks": 1}, "--link: got '1gbit'"),
        ({"device": "cuda", "n_ranks": 1}, "--machine: got nothing"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_runs(tmp_path, options, said):
    with pytest.raises(InputFaults, match=said):
        run_live(LiveOptions(folder=tmp_path, **options), lambda _line: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("other", "said"), [({"link": "1gbit"}, "link ''"), ({"n_ranks": 4}, "n_ranks 2"), ({"share": 0.5}, "share 0.0")]
)
def test_a_folder_of_another_run_is_refused(tmp_path, monkeypatch, other, said):
    """Its rows have the same keys, and would pass for this run's."""
    monkeypatch.setattr(loop, "network", lambda *_: nullcontext([]))
    monkeypatch.setattr(loop, "run_ranks", _stop)
    with pytest.raises(RankFailedError):
        run_live(LiveOptions(folder=tmp_path), lambda _line: None)
    with pytest.raises(InputFaults, match=f"--out: got .*, which holds a run with {said};"):
        run_live(LiveOptions(folder=tmp_path, **other), lambda _line: None)
    with pytest.raises(RankFailedError):  # the same options go on
        run_live(LiveOptions(folder=tmp_path, timeout_s=1.0), lambda _line: None)


def _stop(_launch):
    message = "stopped"
    raise RankFailedError(message)


def test_an_out_that_cannot_be_a_folder_is_told(longsim, tmp_path):
    (tmp_path / "file").write_text("")
    done = longsim("validate", "live", "--out", str(tmp_path / "file"))
    assert done.code == 2
    assert done.err.startswith("--out: got ")
    assert "File exists" in done.err


def test_every_batch_is_planned_in_every_order_with_and_without_zero_experts(tmp_path):
    planned = planned_rows(longcat_flash(), LiveOptions(folder=tmp_path), dtype="fp32", device="here")
    batches = {(row.shape["batch"], row.shape["new"], row.shape["context"]) for row in planned}
    assert len(planned) == len(batches) * 2 * 3
    assert len(batches) * 2 >= 12  # unseen cases in turn


def test_what_was_not_exercised_depends_on_the_machine(tmp_path):
    plain = list(not_exercised(LiveOptions(folder=tmp_path)))
    shaped = list(not_exercised(LiveOptions(folder=tmp_path, link="1gbit")))
    assert any("loopback" in line for line in plain)
    assert not any("loopback" in line for line in shaped)
    assert any("FP8" in line for line in plain)
    assert any("one rank" in line for line in not_exercised(LiveOptions(folder=tmp_path, n_ranks=1)))


@pytest.mark.slow
def test_the_loop_runs_whole_on_a_tiny_model(tmp_path):
    options = LiveOptions(folder=tmp_path, share=1 / 64, experts=2)
    said, at_last_stage = [], []

    def say(line):
        said.append(line)
        if line.startswith("4 of 4"):
            at_last_stage.append(((tmp_path / PREDICTIONS_FILE).is_file(), (tmp_path / "layers").exists()))

    document = live_document(run_live(options, say), options)
    layers = [row for row in read_measurements(tmp_path / "layers") if row.kernel == "layer"]  # not the references
    predicted = json.loads((tmp_path / PREDICTIONS_FILE).read_text())
    assert {shape_text(row.shape) for row in layers} == predicted.keys()
    assert all(seconds > 0.0 for seconds in predicted.values())
    assert at_last_stage == [(True, False)]  # predictions, and no layer yet
    assert len(document["rows"]) == len(layers)
    assert {verdict["name"] for verdict in document["verdicts"]} >= {"layers, median error"}
    assert [line[0] for line in said if line[0].isdigit()] == ["1", "2", "3", "4"]
