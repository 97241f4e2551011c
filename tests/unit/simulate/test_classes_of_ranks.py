"""Ranks that are alike, simulated once, against every rank simulated: real lowering, costs and engine, 16 ranks of the
toy machine in nodes of four."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import toy

from simulator.bounds import busiest_resource_bound_s, critical_path_bound_s
from simulator.simulate import simulate
from workloads.batch import Batch, FfnExperts, Mtp, RoutingSpec
from workloads.layout import Layout
from workloads.lower import lower
from workloads.step import StepSpec
from workloads.zoo import tiny

MACHINE = toy.machine(n_devices_per_node=4, max_devices=16)
DECODE = ("sequential", "tbo", "tbo_phased", "sbo", "two_stream")


def step(**changes):
    moe = replace(tiny().moe, n_routed_experts=32, n_zero_experts=16)
    model = replace(tiny(), moe=moe, attention=replace(tiny().attention, n_heads=8))
    base = StepSpec(
        model=model, n_gpus=16, devices_per_node=4, phase="decode", layout=Layout(ep=16),
        batch=Batch(sequences_per_gpu=8, context_tokens=100), mtp=Mtp(n_draft=1, acceptance=(0.8,)),
    )  # fmt: skip
    return replace(base, **changes)


DECODE_STEPS = {
    "balanced": step(),
    "hot experts in groups that are alike": step(layout=Layout(ep=4), routing=RoutingSpec(popularity="power_law:1.2")),
    "hot experts on all ranks": step(routing=RoutingSpec(popularity="power_law:1.01", zero_experts="remap0")),
    "sampled choices": step(
        routing=RoutingSpec(draw="sample", ffn_experts=FfnExperts(kind="beta_binomial", mean=2.0, std=0.9))
    ),
    "tensor parallel with unequal contexts": step(
        layout=Layout(ep=16, attention_tp=2, dense_tp=4),
        batch=Batch(sequences_per_gpu=4, context_tokens=100, context_cv=0.5),
    ),
    "replicas near": step(
        layout=Layout(ep=8, expert_placement="eplb", n_redundant_experts=8, replica_choice="nearest")
    ),
    "normal kernels": step(all_to_all="normal", layout=Layout(ep=8, expert_placement="round_robin")),
}
PREFILL = step(
    phase="prefill", all_to_all="normal", mtp=Mtp(), layout=Layout(ep=8, attention_tp=2, dense_tp=2),
    batch=Batch(sequences_per_gpu=1, prompt_tokens=64, context_tokens=0),
)  # fmt: skip
CASES = [(name, schedule) for name in DECODE_STEPS for schedule in DECODE]


def check(step_, schedule):
    reduced = simulate(lower(step_, schedule), MACHINE, compute_sms=8)
    full = simulate(lower(step_, schedule, reduce_ranks=False), MACHINE, compute_sms=8)
    ranks_of = Counter()
    for c, n_alike in enumerate(reduced.graph.n_alike_C):
        alike = np.isclose(full.times.end_OC, reduced.times.end_OC[:, [c]], rtol=1e-9, atol=0.0).all(axis=0)
        assert alike[reduced.graph.rank_C[c]]
        assert alike.sum() >= n_alike
        ranks_of.update(np.nonzero(alike)[0].tolist())
    assert set(ranks_of) == set(range(16))  # every rank runs as one of the classes does
    assert reduced.graph.n_ranks == full.graph.n_classes == 16
    return reduced


@pytest.mark.parametrize(("name", "schedule"), CASES)
def test_a_class_runs_as_each_of_its_ranks_does(name, schedule):
    check(DECODE_STEPS[name], schedule)


def test_a_class_runs_as_each_of_its_ranks_does_in_prefill():
    check(PREFILL, "prefill_pairs")


def test_balanced_ranks_are_one_class_and_groups_with_the_same_hot_experts_four():
    assert lower(DECODE_STEPS["balanced"], "sbo").n_classes == 1
    assert lower(DECODE_STEPS["hot experts in groups that are alike"], "sbo").n_classes == 4


@pytest.mark.parametrize(("name", "schedule"), CASES)
def test_no_step_beats_its_bounds(name, schedule):
    run = simulate(lower(DECODE_STEPS[name], schedule), MACHINE)
    makespan = run.times.end_OC.max()
    assert makespan >= critical_path_bound_s(run) * (1 - 1e-8)
    assert makespan >= busiest_resource_bound_s(run) * (1 - 1e-8)


@pytest.mark.parametrize(("name", "schedule"), CASES)
def test_without_contention_a_step_is_its_longest_chain(name, schedule):
    run = simulate(lower(DECODE_STEPS[name], schedule), MACHINE, contention=False)
    assert run.times.end_OC.max() == pytest.approx(critical_path_bound_s(run), rel=1e-12)
