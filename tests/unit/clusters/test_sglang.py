"""SGLang's published figures as a part of the suite."""

from pathlib import Path

import pytest

from simulator.scenario import load_scenario
from validation.clusters.figures import READINGS
from validation.clusters.parts import Row, typed_facts
from validation.clusters.sglang import gains_part, sglang_part, sign_row
from validation.published_facts import published_facts

FACTS = typed_facts("sglang")
SHORT = ["model_overrides.n_layers=4"]


def gain(name, predicted, reference):
    return Row(id=name, what="", predicted=predicted, reference=reference, unit="ratio", source="blog")


def test_every_figure_has_a_source_a_reading_and_a_scenario_that_loads():
    for figure in FACTS["figures"]:
        assert figure["source"]
        assert figure["reading"] in READINGS
        assert load_scenario(figure["scenario"], figure.get("set", ())).mtp.n_draft in (0, 1)


def test_every_gain_has_a_reference_and_two_scenarios_that_load():
    known = published_facts("balance")["sglang"]
    for typed in FACTS["gains"]:
        assert {"reference", "source", "what", "tolerance"} <= {*typed, *known.get(typed.get("fact", ""), {})}
        for side in ("set", "over"):
            load_scenario(typed["scenario"], typed[side])


def test_a_gain_over_itself_is_one_and_takes_what_was_published_from_the_named_fact():
    typed = {"id": "none", "fact": "f", "scenario": "deepseek-v3-sglang-decode-h100x72", "set": SHORT, "over": SHORT}
    (row,) = gains_part([typed], {"f": {"what": "w", "reference": 1.25, "tolerance": 0.3, "source": "blog"}}).rows
    assert row.predicted == 1.0
    assert (row.reference, row.tolerance, row.source, row.unit) == (1.25, 0.3, "blog", "ratio")


def test_a_gain_that_does_not_fit_is_skipped_with_the_reason():
    typed = {"id": "big", "fact": "f", "scenario": "deepseek-v3-sglang-decode-h100x72", "set": SHORT,
             "over": [*SHORT, "batch.sequences_per_gpu=90000"]}  # fmt: skip
    part = gains_part([typed], {"f": {"what": "w", "reference": 1.0, "source": "blog"}})
    assert part.rows == []
    assert part.skipped[0][0] == "big"
    assert part.skipped[0][1]


def test_a_loss_that_is_predicted_as_a_gain_is_not_a_right_sign():
    fact = {"id": "sign", "what": "", "gains": ["a", "b"]}
    right = sign_row(fact, [gain("a", 0.9, 0.73), gain("b", 1.1, 1.25), gain("c", 0.5, 2.0)])
    wrong = sign_row(fact, [gain("a", 1.01, 0.73), gain("b", 1.1, 1.25)])
    assert (right.predicted, right.ok) == (2.0, True)
    assert (wrong.predicted, wrong.ok) == (1.0, False)


@pytest.mark.parametrize(
    ("scenario", "slots", "sequences"),
    [
        ("deepseek-v3-sglang-decode-h100x72", 4, 18432),  # --max-running-requests of the commands
        ("kimi-k2-sglang-decode-h200x96", 5, 46080),
        ("deepseek-r1-sglang-decode-gb200x48", 6, 36864),
    ],
)
def test_decode_instances_hold_what_their_commands_ask_for(scenario, slots, sequences):
    asked = load_scenario(scenario)
    assert asked.step.n_expert_slots == slots * asked.n_gpus
    assert asked.batch.sequences_per_gpu * asked.n_gpus == sequences


@pytest.mark.parametrize(
    ("scenario", "chunk"),
    [
        ("deepseek-v3-sglang-prefill-h100x32", 524_288),
        ("kimi-k2-sglang-prefill-h200x32", 524_288),
        ("deepseek-r1-sglang-prefill-gb200x8", 131_072),
    ],
)
def test_prefill_instances_compute_one_chunk_of_their_commands(scenario, chunk):
    asked = load_scenario(scenario)
    assert asked.batch.sequences_per_gpu * asked.batch.prompt_tokens * asked.n_gpus == pytest.approx(chunk)


@pytest.mark.slow
def test_decode_on_h100_is_within_its_bars_and_overlap_changes_sign():
    rows = {row.id: row for row in sglang_part(Path()).rows}
    names = ["decode", "decode, simulated MTP", "decode, simulated MTP without TBO", "TBO decode, sign"]
    assert [rows[name].ok for name in names] == [True, True, True, True]
