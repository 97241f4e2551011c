"""Whole layers judged: errors, overlap ratios and orders, by hand."""

import pandas as pd
import pytest

from validation.suites.layers import judged, overlap_rows


def layer(order, measured_s, predicted_s, *, batch=4):
    return {
        "batch": batch, "new": 1, "context": 64, "ranks": 2, "zero": "skip", "dtype": "fp32", "order": order,
        "measured_s": measured_s, "predicted_s": predicted_s, "error": predicted_s / measured_s - 1.0, "spread": 0.02,
        "marked": "",
    }  # fmt: skip


def verdicts(frame, device="cpu"):
    return {verdict["name"]: verdict for verdict in judged(frame, device=device)["verdicts"]}


def test_an_overlap_is_what_an_order_takes_of_the_one_in_turn():
    frame = pd.DataFrame([layer("in_turn", 1.0, 1.1), layer("sbo", 0.8, 0.99)])
    (row,) = overlap_rows(frame)
    assert (row["measured"], row["predicted"]) == pytest.approx((0.8, 0.9))
    assert row["ratio_error"] == pytest.approx(0.1)
    assert row["order_ok"] is True


def test_orders_that_differ_by_less_than_a_tenth_are_alike():
    frame = pd.DataFrame([layer("in_turn", 1.0, 1.0), layer("sbo", 0.95, 1.2)])
    assert overlap_rows(frame)[0]["order_ok"] is None


def test_an_order_on_the_wrong_side_is_counted():
    frame = pd.DataFrame([layer("in_turn", 1.0, 1.0), layer("sbo", 0.7, 1.05), layer("two_stream", 1.3, 1.2)])
    found = verdicts(frame)["orders that differ by over 10 % and come out wrong"]
    assert (found["reached"], found["ok"]) == (1.0, False)


@pytest.mark.parametrize("measured", [0.7, 5.0])
@pytest.mark.parametrize("predicted", [1.0, 1.0 - 1e-9, 1.0 + 1e-9])
def test_a_prediction_of_the_same_time_is_wrong_where_the_orders_differ(measured, predicted):
    frame = pd.DataFrame([layer("in_turn", 1.0, 1.0), layer("sbo", measured, predicted)])
    assert overlap_rows(frame)[0]["order_ok"] is False


def test_layers_that_were_not_steady_are_counted():
    frame = pd.DataFrame([layer("in_turn", 1.0, 1.0, batch=b) for b in range(12)])
    assert judged(frame, device="cpu")["notes"] == []
    frame.loc[:5, "marked"] = "spread 0.300 above 0.1"
    assert "6 of 12 layers were not steady" in judged(frame, device="cpu")["notes"][0]


def test_batches_without_the_order_in_turn_have_no_overlap():
    assert overlap_rows(pd.DataFrame([layer("sbo", 1.0, 1.0)])) == []


@pytest.mark.parametrize(("device", "ok"), [("cpu", True), ("cuda", False)])
def test_a_gpu_is_held_to_a_tighter_bar_than_a_cpu(device, ok):
    frame = pd.DataFrame([layer("in_turn", 1.0, 1.08, batch=b) for b in range(12)])
    assert verdicts(frame, device)["layers, median error"]["ok"] is ok


def test_few_layers_are_said_to_be_few():
    assert "only 1 layers" in judged(pd.DataFrame([layer("in_turn", 1.0, 1.0)]), device="cpu")["notes"][0]
