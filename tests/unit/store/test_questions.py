import numpy as np
import pytest

from hw_profiles.faults import InputFaults
from simulator.question import load_question, requests_of
from simulator.relative import absolute
from workloads.traffic.requests import Requests, with_prompts

LAW = {"requests": "constant:4", "count": 3, "prompt": "fixed:100"}


@pytest.mark.parametrize(("relative", "value"), [
    ("batch.context_tokens=2x", "batch.context_tokens=10000.0"),
    ("batch.context_tokens=+30%", "batch.context_tokens=6500.0"),
    ("n_gpus=-50%", "n_gpus=4"),
    ("machine_overrides.tiers.nic.bytes_per_s=2x", "machine_overrides.tiers.nic.bytes_per_s=100000000000.0"),
    ("model_overrides.moe.top_k=0.5x", "model_overrides.moe.top_k=2"),
    ("schedule=sbo", "schedule=sbo"),
])  # fmt: skip
def test_relative_values_are_of_what_stands_in_the_scenario(small, relative, value):
    question = load_question(small, ["batch.context_tokens=5000", "model_overrides.moe.top_k=4"])
    assert absolute([relative], question) == [value]


@pytest.mark.parametrize("setting", ["schedule=2x", "serving.max_num_seqs=2x", "tiers=+3%", "run.contention=2x"])
def test_what_is_no_number_has_no_double(small, setting):
    with pytest.raises(InputFaults, match="of a number that stands there"):
        absolute([setting], load_question(small))


def test_settings_of_traffic_change_the_traffic(small):
    question = load_question(small, ["traffic.count=2", "traffic.prompt_scale=1.3", "seed=7"], traffic=LAW)
    chunk = next(requests_of(question.traffic, seed=question.scenario.seed))
    assert chunk.prompt_tokens_N.tolist() == [130, 130]
    assert question.scenario.seed == 7


@pytest.mark.parametrize(("setting", "words"), [
    ("traffic.cuont=2", "traffic.cuont"),
    ("traffic.count=many", "traffic.count: got 'many'"),
    ("traffic.prompt_scale=0", "traffic.prompt_scale: got 0; allowed a number above 0"),
    ("traffic.requests=posson:4", "did you mean poisson"),
])  # fmt: skip
def test_faults_of_traffic_are_said(small, setting, words):
    with pytest.raises(InputFaults, match=words):
        load_question(small, [setting], traffic=LAW)


def test_settings_of_traffic_without_any_are_a_fault(small):
    with pytest.raises(InputFaults, match="add --requests"):
        load_question(small, ["traffic.count=2"])


def test_prompts_of_users_are_lengthened_in_their_law(small):
    with pytest.raises(InputFaults, match="write a longer law of prompts"):
        load_question(small, ["traffic.prompt_scale=2"], traffic={"requests": "users:3"})


def test_scaled_prompts_keep_the_prefixes_that_are_left_of_them():
    chunk = Requests(
        arrival_s_N=np.zeros(2), prompt_tokens_N=np.array([32, 17]), output_tokens_N=np.ones(2, dtype=int),
        session_N=np.full(2, -1), prefix_ids=[[1, 2], [1, 3]], block_tokens=16,
    )  # fmt: skip
    half, twice = (next(with_prompts(iter([chunk]), scale)) for scale in (0.5, 2.0))
    assert half.prompt_tokens_N.tolist() == [16, 8]
    assert half.prefix_ids == [[1], [1]]
    assert twice.prompt_tokens_N.tolist() == [64, 34]
    assert twice.prefix_ids == chunk.prefix_ids
