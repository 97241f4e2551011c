from simulator.report.tables import (
    assumptions_table,
    kinds_table,
    metrics_table,
    scenario_differences,
    scenario_table,
)


def test_metrics_carry_value_text_and_definition(make_answer):
    rows = metrics_table(make_answer(metrics={"tpot_s": 28.6e-3}, interval={"tpot_s": (27e-3, 31e-3)}))
    (row,) = rows.to_dict("records")
    assert (row["metric"], row["label"], row["value"], row["text"]) == ("tpot_s", "TPOT", 28.6e-3, "28.6 ms")
    assert row["range"] == "27 ms to 31 ms"
    assert row["definition"]


def test_a_metric_by_tier_has_a_row_per_tier(make_answer):
    rows = metrics_table(make_answer(metrics={"bytes": {"nvlink": 3.1e8, "nic": 5.9e8}, "busy_s": {"norm": 1.0}}))
    assert rows["metric"].tolist() == ["bytes[nvlink]", "bytes[nic]"]
    assert rows["text"].tolist() == ["310 MB", "590 MB"]


def test_an_unknown_metric_is_read_by_its_suffix(make_answer):
    rows = metrics_table(make_answer(metrics={"ttft_s": 0.25, "queue_length": 3}))
    assert rows["label"].tolist() == ["ttft s", "queue length"]
    assert rows["text"].tolist() == ["250 ms", "3"]


def test_kinds_come_compute_first_then_communication(make_answer):
    rows = kinds_table(make_answer())
    assert rows["label"].tolist()[-2:] == ["dispatch", "combine"]
    assert rows.set_index("kind").loc["attention", "busy"] == "16.7 ms"


def test_assumptions_show_units_and_sources(make_answer):
    first = assumptions_table(make_answer()).iloc[0]
    assert first.tolist() == ["device.hbm_bytes_per_s", "3.35 TB/s", "datasheet", "NVIDIA H800 datasheet, 2023"]


def test_scenario_keys_are_dotted_as_set_takes_them(make_answer):
    rows = scenario_table(
        make_answer(scenario={"n_gpus": 128, "layout": {"ep": 64}, "mtp": {"acceptance": [0.8, 0.6]}})
    )
    assert rows.to_numpy().tolist() == [["n_gpus", "128"], ["layout.ep", "64"], ["mtp.acceptance", "0.8, 0.6"]]


def test_only_what_differs_between_scenarios_is_shown(make_answer):
    answers = [
        make_answer(name, scenario={"n_gpus": 128, "layout": {"ep": ep}}) for name, ep in (("a", 64), ("b", 128))
    ]
    assert scenario_differences(answers).to_dict("records") == [{"key": "layout.ep", "a": "64", "b": "128"}]
