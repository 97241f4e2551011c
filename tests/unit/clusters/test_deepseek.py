"""DeepSeek's published figures as a part of the suite."""

from pathlib import Path

import pytest

from simulator.scenario import load_scenario
from validation.clusters.deepseek import deepseek_part, readings
from validation.clusters.parts import typed_facts

FACTS = typed_facts("deepseek")


def test_a_node_s_input_counts_what_caches_hold():
    """100 tokens/s per GPU computed, 8 GPUs, half of the input from caches."""
    assert readings(0.5)["input_tokens_per_s_per_node"]({"tokens_per_s_per_gpu": 100.0}) == 1600.0


def test_every_figure_has_a_source_a_reading_and_a_scenario_that_loads():
    for figure in FACTS["figures"]:
        assert figure["source"]
        assert figure["reading"] in readings(FACTS["cache_hit_share"])
        assert load_scenario(figure["scenario"], figure.get("set", ())).model == "deepseek_v3"


def test_the_service_s_lengths_follow_from_its_figures():
    """Input to output tokens as 608 to 168, input + half the output = 4,989 tokens of cache, 56.3 % of it cached."""
    prompt = 4989 * 608 / (608 + 168 / 2)
    batch = load_scenario("deepseek-v3-online-prefill-h800x32", ()).batch
    assert batch.context_tokens == pytest.approx(prompt * FACTS["cache_hit_share"], abs=1.0)
    assert batch.prompt_tokens == pytest.approx(prompt * (1 - FACTS["cache_hit_share"]), abs=1.0)


@pytest.mark.slow
def test_step_times_of_the_profile_data_are_within_their_bars():
    rows = {row.id: row for row in deepseek_part(Path()).rows}
    assert [name for name, row in rows.items() if row.tolerance] == [
        "profile prefill", "profile decode, layers", "service prefill", "service decode",
    ]  # fmt: skip
    assert rows["profile prefill"].ok
    assert rows["profile decode, layers"].ok
