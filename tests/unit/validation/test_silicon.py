"""Rows of published deployments: what they ask for, which are fitted on, how their replays are weighed."""

from dataclasses import replace

import pandas as pd
import pytest

from hw_profiles.faults import InputFaults
from simulator.serving.step_times import DecodeLine, StepBatch
from validation.clusters.silicon import relative_errors
from validation.clusters.silicon_predictions import Prediction, fitted_overheads
from validation.clusters.silicon_replay import Latencies, Served, preset_of, steps_between_polls
from validation.clusters.silicon_rows import SiliconRow, aggregated_rows, left_out, repeat_floor
from validation.clusters.silicon_scenarios import read_facts, scenario_of
from validation.clusters.silicon_steps import BOUNDS, Overheads, ServedStepTimes, WindowedStepTimes

ROW = SiliconRow(
    number=0, configuration="a", model="openai/gpt-oss-120b", system="b200_sxm", precision="fp4", backend="vllm",
    version="0.15.1", tp=2, dp=1, moe_tp=2, moe_ep=1, isl=1024, osl=1024, users=4, ttft_s=0.05, tpot_s=0.004,
)  # fmt: skip


class PairTimes:
    """A second per (query, key) pair of prompts and per token that decodes read."""

    def seconds(self, batch):
        return batch.prefill_pairs + batch.decode_context_tokens

    def decode_line(self, n_decode, decode_context_tokens, longest_decode_tokens=0, fullest=None):
        return DecodeLine(from_tokens=0, until_tokens=1000, at_s=1.0, s_per_token=0.5)


def test_a_row_is_a_tensor_parallel_deployment_of_replicated_tokens():
    scenario = scenario_of(ROW, read_facts())
    layout = scenario.layout
    assert (scenario.machine, scenario.n_gpus, scenario.precision.weights) == ("b200_sxm", 2, "w4a8")
    assert (layout.attention_tp, layout.ep, layout.moe_tp, layout.replicated) == (2, 1, 2, True)
    assert (scenario.model_spec.n_layers, scenario.model_spec.moe.top_k) == (36, 4)


def test_four_bit_weights_are_widened_on_hopper():
    assert scenario_of(replace(ROW, system="h200_sxm"), read_facts()).precision.weights == "w4"


@pytest.mark.parametrize(("changed", "reason"), [
    ({"model": "Qwen/Qwen3.5-397B-A17B"}, "linear attention"),
    ({"tp": 2, "dp": 2, "moe_tp": 4}, "under data-parallel attention"),
    ({"tp": 24, "moe_tp": 24}, "it has to divide"),
])  # fmt: skip
def test_what_longsim_has_no_scenario_for_is_refused_with_the_reason(changed, reason):
    with pytest.raises(InputFaults, match=reason):
        scenario_of(replace(ROW, **changed), read_facts())


def test_half_of_the_configurations_are_fitted_on_by_their_name_alone():
    rows = [replace(ROW, configuration=str(n)) for n in range(400)]
    assert 150 < sum(row.is_fitted for row in rows) < 250
    assert all(row.is_fitted == replace(row, users=99, tpot_s=1.0).is_fitted for row in rows)


def test_drafts_may_hide_where_trtllm_serves_deepseek_on_tp8_ep8():
    hidden = replace(ROW, model="deepseek-ai/DeepSeek-R1", backend="trtllm", tp=8, moe_tp=1, moe_ep=8)
    assert hidden.speculation_unknown
    assert not replace(hidden, backend="sglang").speculation_unknown


def test_a_repeat_is_the_same_point_measured_again():
    n, middle, _ = repeat_floor([ROW, replace(ROW, tpot_s=0.005), replace(ROW, users=8)], "tpot_s")
    assert (n, middle) == (1, pytest.approx(0.25))


@pytest.mark.parametrize(("version", "preset"), [("0.12.0", "vllm-0.10"), ("0.19.0", "vllm"), ("nan", "vllm")])
def test_a_scheduler_is_that_of_the_row_s_version(version, preset):
    assert preset_of(replace(ROW, version=version), read_facts().backends["vllm"]) == preset


def test_a_model_outside_the_zoo_comes_with_its_config():
    model = scenario_of(replace(ROW, model="zhipuai/GLM-5", precision="fp8", tp=8, moe_tp=8), read_facts()).model_spec
    assert (model.n_layers, model.indexer.top_k, model.moe.group_limited) == (78, 2048, False)


def test_windows_shorten_contexts_and_prompts_by_the_pairs_that_are_not_read():
    half = WindowedStepTimes(exact=PairTimes(), windowed_share=0.5, window_tokens=100)
    assert half.seconds(StepBatch(n_decode=2, decode_context_tokens=2000)) == pytest.approx(2000 / 2 + 200 / 2)
    assert half.seconds(StepBatch(n_decode=2, decode_context_tokens=100)) == pytest.approx(100)
    prompt = StepBatch(n_decode=0, decode_context_tokens=0, prefills=((100, 900),))
    read = 0.5 * (100 * 900 + 100 * 101 / 2) + 0.5 * 100 * 100
    assert half.seconds(prompt) == pytest.approx(read, rel=0.01)
    long = StepBatch(n_decode=0, decode_context_tokens=0, prefills=((4000, 0),))
    assert half.seconds(long) == pytest.approx(0.5 * 4000 * 4001 / 2 + 0.5 * 4000 * 100, rel=0.1)


def test_overheads_are_added_to_the_kernels():
    overheads = Overheads(decode_factor=2.0, sequence_s=0.01)
    times = ServedStepTimes(kernels=PairTimes(), overheads=overheads, n_kernels=3)
    assert times.seconds(StepBatch(n_decode=4, decode_context_tokens=10)) == pytest.approx(20 + 0.04)
    line = times.decode_line(4, 10)
    assert (line.at_s, line.s_per_token) == (pytest.approx(2.04), pytest.approx(1.0))
    apart = replace(times, n_groups=2)
    assert apart.seconds(StepBatch(n_decode=4, decode_context_tokens=10)) == pytest.approx(20 + 0.02)


def test_a_step_with_prompts_waits_for_the_slower_of_host_and_gpu():
    times = ServedStepTimes(
        kernels=PairTimes(), overheads=Overheads(prompt_factor=3.0, launch_s=2.0), n_kernels=3
    )  # fmt: skip
    short = StepBatch(n_decode=0, decode_context_tokens=0, prefills=((1, 0),))
    long = StepBatch(n_decode=0, decode_context_tokens=0, prefills=((4, 0),))
    assert times.seconds(short) == pytest.approx(3 * 2.0)
    assert times.seconds(long) == pytest.approx(3.0 * 4 * 5 / 2)


def test_the_committed_overheads_are_within_their_bounds():
    sets = fitted_overheads()
    assert len(sets) == 6
    for overheads in sets.values():
        assert all(low <= getattr(overheads, name) <= high for name, (low, high) in BOUNDS.items())


def test_a_lonely_user_waits_for_its_prompt_and_then_decodes():
    """No queue and one sequence: TTFT is a prompt's step, TPOT a decode's, whatever the layout of the waves."""
    served = Served(ROW, read_facts())
    alone = replace(ROW, users=1, isl=1000, osl=50)
    plain = served.latencies(alone, Overheads())
    slower = served.latencies(alone, Overheads(sequence_s=1e-3, request_s=0.1, token_s=1e-6))
    assert slower.tpot_s == pytest.approx(plain.tpot_s + 1e-3)
    assert slower.ttft_s == pytest.approx(plain.ttft_s + 1e-3 + 0.1 + 1000 * 1e-6)


def test_a_request_waits_half_the_steps_between_two_looks_at_new_ones():
    polls = read_facts().polls
    deepseek = replace(ROW, model="deepseek-ai/DeepSeek-R1", backend="sglang")
    assert steps_between_polls(deepseek, polls) == 10
    assert steps_between_polls(replace(deepseek, users=16), polls) == 30
    assert steps_between_polls(replace(deepseek, backend="trtllm", users=64), polls) == 40
    assert steps_between_polls(replace(deepseek, backend="trtllm", users=64, isl=8192), polls) == 0
    assert steps_between_polls(ROW, polls) == 0


def test_errors_are_of_the_predicted_rows():
    found = [
        Prediction(row=ROW, latencies=Latencies(ttft_s=0.04, tpot_s=0.005)),
        Prediction(row=ROW, reason="none"),
    ]
    assert relative_errors(found, "tpot_s") == [pytest.approx(0.25)]


def test_rows_without_users_or_workers_are_left_out_with_the_reason():
    words = ["model_path", "system", "precision", "backend", "backend_version", "mode"]
    numbers = ["tp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size", "isl", "osl", "conc"]
    whole = dict.fromkeys(words, "x") | dict.fromkeys(numbers, 1.0) | {"mode": "agg", "decode_num_workers": None}
    whole |= {"isl": 1, "osl": 1, "silicon_ttft_ms": 50.0, "silicon_tpot_ms": 4.0}
    table = pd.DataFrame([whole, whole | {"conc": None}, whole | {"mode": "disagg"}])
    assert [row.ttft_s for row in aggregated_rows(table)] == [0.05]
    assert [what.split()[0] for what, _ in left_out(table)] == ["1", "0", "1"]
