"""Published figures: each is predicted by the curve that it is about, or skipped with the reason."""

import json

import pytest

POINT = {
    "id": "gemm", "kind": "kernel_gemm", "system": "DeepGEMM dense fp8", "hardware": "H800 SXM5",
    "quantity": "throughput:gemm", "value": 1410, "unit": "TFLOPS", "confidence": "measured", "source": "README",
    "gate": True, "conditions": {"m": 4096, "n": 4096, "k": 7168},
}  # fmt: skip
TRANSFER = POINT | {
    "id": "dispatch", "kind": "a2a_low_latency", "system": "DeepEP low-latency 2025-06-05",
    "quantity": "latency:dispatch",
    "value": 155, "unit": "us",
    "conditions": {"ep": 32, "op": "dispatch", "tokens_per_gpu": 128, "hidden": 7168, "topk": 8},
}  # fmt: skip


@pytest.fixture
def judged(longsim, tmp_path):
    def run(*points):
        path = tmp_path / "points.json"
        path.write_text(json.dumps(points))
        return longsim("validate", "published", "--points", path, "--json")

    return run


def test_a_rate_is_predicted_in_its_own_unit(judged):
    said = judged(POINT)
    (row,) = said.document["rows"]
    assert said.code == 0
    assert row["rel_error"] == pytest.approx(row["predicted"] / 1410 - 1)
    assert row["ok"] is True
    assert row["curve"] == "h800_sxm: infersim_gemm_fp8: gemm_fp8"
    assert row["extrapolated"] is False


def test_a_curve_carried_from_another_machine_is_marked(judged):
    (row,) = judged(TRANSFER).document["rows"]
    assert row["curve"].startswith("h100_sxm: deepep_low_latency")
    assert row["extrapolated"] is True


def test_pure_rdma_takes_longer_than_nvlink_where_possible(judged):
    old = TRANSFER | {"id": "old", "system": "DeepEP low-latency 2025-02-24 (pure RDMA)"}
    new_row, old_row = judged(TRANSFER, old).document["rows"]
    assert old_row["predicted"] > 1.1 * new_row["predicted"]


def test_fewer_sms_beside_communication_take_longer(judged):
    conditions = {"shape": "M=4096,K=7168,N=4096", "note": "runs next to all-to-all on 20 SMs"}
    time = {"quantity": "kernel_time:x", "value": 200, "unit": "us"}
    beside = POINT | time | {"hardware": "H800 (112 of 132 SMs)", "conditions": conditions}
    beside_row, alone_row = judged(beside, POINT | time).document["rows"]
    assert beside_row["predicted"] > alone_row["predicted"] * 132 / 112


def test_a_miss_fails_only_where_the_point_is_a_gate(judged):
    wrong = POINT | {"value": 100}
    assert judged(wrong).code == 1
    said = judged(wrong | {"gate": False})
    assert (said.code, said.document["rows"][0]["ok"]) == (0, None)


UNANSWERED = {
    "an unknown machine": ({"hardware": "MI300X + CX7 IB"}, "no fitted machine is MI300X + CX7 IB"),
    "no shape": ({"conditions": {"note": "best shape"}}, "the point gives no m"),
    "another kernel": ({"quantity": "kernel_time:o_wgrad"}, "no curve of wgrad kernels"),
    "another library": ({"kind": "a2a_low_latency", "system": "pplx-kernels"}, "no curve of pplx-kernels"),
}


@pytest.mark.parametrize("why", UNANSWERED)
def test_a_point_that_no_curve_answers_is_skipped_with_the_reason(judged, why):
    change, reason = UNANSWERED[why]
    document = judged(POINT | change).document
    assert document["rows"] == []
    assert [item["reason"] for item in document["skipped"]] == [reason]


def test_points_of_other_kinds_are_counted(judged):
    assert judged(POINT | {"kind": "serving_latency"}).document["summary"]["n_of_other_kinds"] == 1


def test_words_name_what_is_not_judged(longsim, tmp_path):
    (tmp_path / "points.json").write_text(json.dumps([POINT | {"gate": False}]))
    assert "not judged" in longsim("validate", "published", "--points", tmp_path / "points.json").out


@pytest.mark.parametrize(
    ("text", "words"),
    [("no json", "a JSON list of points"), ("{}", "something else"), ('[{"id": 1}]', "nothing under kind")],
)
def test_a_file_of_something_else_is_refused(longsim, tmp_path, text, words):
    path = tmp_path / "points.json"
    path.write_text(text)
    said = longsim("validate", "published", "--points", path)
    assert said.code == 2
    assert words in said.err


def test_options_of_another_suite_are_refused(longsim):
    said = longsim("validate", "theory", "--by", "m")
    assert (said.code, said.faults) == (2, ["--by: got 'm'; allowed nothing with the suite 'theory'; leave it out"])
