"""Steps of decodes, of prompts and of both through the op-level engine, and how well lines follow them."""

import json
from dataclasses import replace
from random import Random

import pytest
from unit.serving.toy_steps import TICK_S, ToySteps

from simulator.evaluate import run_scenario
from simulator.scenario import build_scenario, load_scenario
from simulator.serving.interpolated_steps import InterpolatedStepTimes
from simulator.serving.knots import token_knots
from simulator.serving.simulated_steps import SimulatedStepTimes
from simulator.serving.step_times import GroupBatch, StepBatch
from workloads.batch import Mtp

# Llama-3.1-8B's config.json, of two layers
LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 2, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 128256,
    "tie_word_embeddings": False, "hidden_act": "silu",
}  # fmt: skip


def batch(n, mean_context, *prefills):
    return StepBatch(n_decode=n, decode_context_tokens=n * mean_context, prefills=prefills)


@pytest.fixture(params=["sequential", "sbo"])
def scenario(request):
    loaded = load_scenario("longcat-flash-decode-h800x128", ["model_overrides.n_layers=2", f"schedule={request.param}"])
    return replace(loaded, mtp=replace(loaded.mtp, n_draft=0))


def makespan_s(scenario):
    return float(run_scenario(scenario).times.end_OC.max())


def test_a_step_of_decodes_is_the_scenario_s_own(scenario):
    asked = replace(scenario, batch=replace(scenario.batch, sequences_per_gpu=32.0, context_tokens=2000.0))
    assert SimulatedStepTimes(scenario).seconds(batch(32 * 128, 2000)) == makespan_s(asked)


def test_drafts_cost_a_step_their_queries_whether_or_not_they_are_accepted(scenario):
    never, always = (replace(scenario, mtp=Mtp(n_draft=1, acceptance=(share,))) for share in (0.0, 1.0))
    decodes = batch(32 * 128, 2000)
    asked = replace(never, batch=replace(scenario.batch, sequences_per_gpu=32.0, context_tokens=2000.0))
    in_vain_s = SimulatedStepTimes(never).seconds(decodes)
    assert in_vain_s == SimulatedStepTimes(always).seconds(decodes) == makespan_s(asked)
    assert in_vain_s > SimulatedStepTimes(scenario).seconds(decodes)


def test_a_step_of_equal_prompts_is_a_prefill(scenario):
    sizes = replace(scenario.batch, sequences_per_gpu=1.0, context_tokens=500.0, prompt_tokens=700)
    asked = replace(scenario, phase="prefill", batch=sizes)
    assert SimulatedStepTimes(scenario).seconds(batch(0, 0, *[(700, 500)] * 128)) == pytest.approx(makespan_s(asked))


def test_on_one_stream_decodes_beside_prompts_cost_what_their_ops_cost(scenario):
    """More than either alone, less than both one after the other: weights are read once."""
    times = SimulatedStepTimes(scenario)
    decodes, prompts = batch(1280, 2000), batch(0, 0, *[(256, 0)] * 128)
    both = times.seconds(replace(decodes, prefills=prompts.prefills))
    normal = SimulatedStepTimes(replace(scenario, run=replace(scenario.run, all_to_all="normal")))
    assert max(normal.seconds(decodes), times.seconds(prompts)) < both
    assert both < normal.seconds(decodes) + times.seconds(prompts)


def dense(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    precision = {"weights": "bf16", "attention_weights": "bf16"}
    return build_scenario(
        {"name": "llama", "model": str(tmp_path), "machine": "h100_sxm", "n_gpus": 1, "precision": precision}
    )


def longcat(tmp_path):
    del tmp_path
    return load_scenario("longcat-flash-decode-h800x128", ["model_overrides.n_layers=2", "mtp.n_draft=0"])


@pytest.mark.parametrize(("make", "n_groups", "most_decodes"), [(dense, 1, 256), (longcat, 128, 12_000)])
def test_interpolated_steps_are_one_per_cent_off_in_the_median_and_three_at_worst(
    make, n_groups, most_decodes, tmp_path
):
    """Random decodes, prompts and both; the bar is what `longsim replay` promises of its own sample."""
    n_steps = 24
    interpolated = InterpolatedStepTimes(SimulatedStepTimes(make(tmp_path)), n_groups=n_groups, sample=n_steps)
    rng = Random(2)
    for _ in range(n_steps):
        n = int(most_decodes ** rng.uniform(0.3, 1.0)) if rng.random() < 0.7 else 0
        prompts = [(rng.randrange(50, 2000), 0) for _ in range(rng.randrange(1, 4) * n_groups)]
        interpolated.seconds(batch(n, rng.randrange(100, 6000), *(prompts if n == 0 or rng.random() < 0.6 else ())))
    error = interpolated.error()
    assert error.n_steps == n_steps
    assert error.median <= 0.01
    assert error.worst <= 0.03


def test_a_prompt_keeps_its_group_busy_however_many_others_are_idle(scenario):
    """As many tokens in one prompt and in 128: the attention of its group alone takes far longer."""
    times = SimulatedStepTimes(scenario)
    alone = replace(batch(0, 0, (4096, 0)), fullest=GroupBatch(0, 0, ((4096, 0),)))
    lone, spread = times.seconds(alone), times.seconds(batch(0, 0, *[(32, 0)] * 128))
    assert lone > 5 * spread


def test_steps_that_are_straight_between_knots_are_met_exactly():
    interpolated = InterpolatedStepTimes(ToySteps(), sample=30)
    for n, context, *prompts in [(3, 100, 17), (70, 900), (150, 3333, 1000, 300), (0, 0, 55)]:
        asked = batch(n, context, *((tokens, 0) for tokens in prompts))
        assert interpolated.seconds(asked) == pytest.approx(ToySteps().seconds(asked), rel=1e-9)
    assert interpolated.error().worst < 1e-9


def test_a_line_of_decodes_is_its_own_seconds():
    interpolated = InterpolatedStepTimes(ToySteps())
    line = interpolated.decode_line(10, 9000)
    assert line.from_tokens <= 9000 <= line.until_tokens
    assert line.at_s + line.s_per_token * (9000 - line.from_tokens) == pytest.approx(TICK_S * (18 + 9000 / 256))


@pytest.mark.parametrize("tokens", [1, 5, 64, 65, 100, 1024, 1025, 5000])
@pytest.mark.parametrize("n_groups", [1, 6])
def test_knots_stand_around_the_tokens_within_one_tile(tokens, n_groups):
    place = token_knots(tokens * n_groups, n_groups)
    assert place.low <= tokens * n_groups <= place.high
    assert 0.0 <= place.weight <= 1.0
    tile = 64 if tokens <= 1024 else 128
    assert -(-place.high // (tile * n_groups)) == -(-place.low // (tile * n_groups)) or tokens < 64
