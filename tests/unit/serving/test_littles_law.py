"""L = λW: what the schedulers count, step by step, is what the requests go through, whatever comes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.serving.toy_steps import TICK_S, ConstantSteps, ToyLines, requests

from simulator.serving.knobs import BackendKnobs
from simulator.serving.littles_law import littles_law_gap, times_in_system_s
from simulator.serving.metrics import serving_metrics
from simulator.serving.replay import replay
from workloads.batch import Mtp
from workloads.traffic.sources import traffic_of

KNOBS = st.builds(
    BackendKnobs, max_num_seqs=st.integers(1, 12), max_batched_tokens=st.sampled_from([64, 1000]),
    mixed_steps=st.booleans(), preemption=st.sampled_from(["recompute", "swap"]), max_queue=st.sampled_from([0, 3]),
    policy=st.sampled_from(["fcfs", "lcfs", "shortest_prompt"]), steps_per_schedule=st.sampled_from([1, 4]),
)  # fmt: skip
DEPLOYED = st.fixed_dictionaries({
    "kv_blocks": st.sampled_from([12, 20, 1000]), "n_replicas": st.integers(1, 3), "n_groups": st.sampled_from([1, 2]),
    "router": st.sampled_from(["round_robin", "least_loaded", "prefix_aware"]),
    "mtp": st.sampled_from([None, Mtp(n_draft=1, acceptance=(0.7,))]),
    "until_s": st.sampled_from([float("inf"), 0.2]),
})  # fmt: skip


def stream(seed):
    rng = np.random.default_rng(seed)
    arrival = np.cumsum(rng.integers(0, 40, 40)) * TICK_S
    return requests(list(zip(arrival, rng.integers(1, 120, 40), rng.integers(1, 60, 40), strict=True)))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1000), knobs=KNOBS, deployed=DEPLOYED)
def test_of_streams(seed, knobs, deployed):
    run = replay(iter([stream(seed)]), knobs=knobs, step_times=ToyLines(), seed=seed, **deployed)
    assert littles_law_gap(run) < 1e-9


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), knobs=KNOBS, deployed=DEPLOYED, text=st.sampled_from(["users:7,think=0.05",
       "chat:20,turns=3,gap=0.05,system=32", "agent:10,turns=4,gap=0.01,later=16"]))  # fmt: skip
def test_of_sessions(seed, knobs, deployed, text):
    traffic = traffic_of(text, n_requests=40, seed=seed, prompt="lognormal:40,cv=1,max=90", output="fixed:12")
    run = replay(traffic, knobs=knobs, step_times=ToyLines(), seed=seed, **deployed)
    assert littles_law_gap(run) < 1e-9


def test_the_streams_have_preemptions_and_requests_under_way():
    """So that the properties above are of something."""
    runs = [
        replay(iter([stream(seed)]), knobs=BackendKnobs(), step_times=ToyLines(), kv_blocks=12, until_s=0.2)
        for seed in range(5)
    ]
    assert any(run.requests["preemptions"].sum() for run in runs)
    assert any((run.requests["state"] == "running").any() for run in runs)


def test_the_mean_in_the_system_by_hand():
    """One after the other, of 3 and 5 tokens, a second each: two there for 3 s and one for 5 s; one is under way."""
    run = replay(
        iter([requests([(0.0, 10, 3), (0.0, 10, 5)])]), knobs=BackendKnobs(max_num_seqs=1),
        step_times=ConstantSteps(1.0), kv_blocks=1000, until_s=7.5,
    )  # fmt: skip
    assert times_in_system_s(run) == run.present_s == 3 + 8
    assert serving_metrics(run)["mean_in_system"] == 11 / 8


def test_a_miscount_shows():
    run = replay(iter([stream(1)]), knobs=BackendKnobs(), step_times=ToyLines(), kv_blocks=100)
    assert littles_law_gap(replace(run, present_s=run.present_s * 1.01)) == pytest.approx(0.01)
