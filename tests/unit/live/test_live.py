"""The loop on this machine: options refused, predictions before the layers run, an answer that says what it lacks."""

import json

import pytest

pytest.importorskip("torch", reason="the loop runs PyTorch layers")

from hw_profiles.faults import InputFaults
from validation.live.loop import PREDICTIONS_FILE, LiveOptions, planned_rows, run_live
from validation.measurements import TABLE_FILE, read_measurements, shape_text
from validation.suites.live import live_document, not_exercised
from workloads.zoo import longcat_flash


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_ranks": 0}, "--ranks: got 0"),
        ({"n_ranks": 65}, "--ranks: got 65"),
        ({"link": "1 parsec"}, "--link: got '1 parsec'"),
        ({"device": "cuda", "link": "1gbit", "machine": "h200_sxm", "n_ranks": 1}, "--link: got '1gbit'"),
        ({"device": "cuda", "n_ranks": 1}, "--machine: got nothing"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_runs(tmp_path, options, said):
    with pytest.raises(InputFaults, match=said):
        run_live(LiveOptions(folder=tmp_path, **options), lambda _line: None)
    assert list(tmp_path.iterdir()) == []


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
    said = []
    document = live_document(run_live(options, said.append), options)
    layers = read_measurements(tmp_path / "layers")
    predicted = json.loads((tmp_path / PREDICTIONS_FILE).read_text())
    assert {shape_text(row.shape) for row in layers} == predicted.keys()
    assert all(seconds > 0.0 for seconds in predicted.values())
    first_layer_ns = (tmp_path / "layers" / TABLE_FILE).stat().st_ctime_ns
    assert (tmp_path / PREDICTIONS_FILE).stat().st_mtime_ns < first_layer_ns
    assert len(document["rows"]) == len(layers)
    assert {verdict["name"] for verdict in document["verdicts"]} >= {"layers, median error"}
    assert [line[0] for line in said if line[0].isdigit()] == ["1", "2", "3", "4"]
