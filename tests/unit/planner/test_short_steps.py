"""Steps of few layers against whole ones."""

import pytest

from simulator.planner.short_steps import ShortStepTimes
from simulator.scenario import load_scenario
from simulator.serving.simulated_steps import SimulatedStepTimes
from simulator.serving.step_times import GroupBatch, StepBatch

CASES = {
    "ScMoE, one batch": ("longcat-flash-decode-h800x128", ["schedule=sbo"]),
    "ScMoE, two streams": ("longcat-flash-decode-h800x128", ["schedule=two_stream"]),
    "in order, leading dense layers": ("deepseek-v3-decode-h800x128", ["schedule=sequential", "mtp.n_draft=0"]),
    "two batches": ("deepseek-v3-decode-h800x128", ["schedule=tbo", "n_gpus=32", "layout.ep=32"]),
    "sparse attention": ("longcat-2-decode-h200x128", []),
}


def batches(n_gpus):
    prompt = ((3000, 0),)
    yield StepBatch(n_decode=17 * n_gpus, decode_context_tokens=17 * n_gpus * 3000)
    yield StepBatch(n_decode=0, decode_context_tokens=0, prefills=prompt, fullest=GroupBatch(0, 0, prompt))


@pytest.mark.parametrize("case", CASES)
def test_few_layers_give_the_time_of_all_of_them(case):
    scenario = load_scenario(*CASES[case])
    for batch in batches(scenario.n_gpus):
        whole, short = SimulatedStepTimes(scenario), ShortStepTimes(scenario)
        assert short.seconds(batch) == pytest.approx(whole.seconds(batch), rel=1e-9)  # sums in another order


def test_layers_that_differ_are_all_simulated():
    scenario = load_scenario("longcat-flash-decode-h800x128", ["routing.popularity=power_law:1.01", "n_gpus=16",
                                                               "layout.ep=16", "machine=h200_sxm"])  # fmt: skip
    batch = next(batches(16))
    assert ShortStepTimes(scenario).seconds(batch) == SimulatedStepTimes(scenario).seconds(batch)
