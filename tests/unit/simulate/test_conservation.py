"""What is sent arrives: in the loads that routing asks for, and in every collective of the lowered graph."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from workloads.batch import Batch, FfnExperts, RoutingSpec
from workloads.layout import Layout
from workloads.loads import routed_loads
from workloads.lower import lower
from workloads.step import StepSpec
from workloads.zoo import tiny

DRAWS = ("mean", "sample")
POPULARITIES = ("balanced", "power_law:1.01", "power_law:1.4")
POLICIES = ("skip", "remap0", "none", "k8")
LAYOUTS = (
    Layout(ep=16),
    Layout(ep=4),
    Layout(ep=8, expert_placement="round_robin"),
    Layout(ep=16, expert_placement="round_robin"),
    Layout(ep=16, expert_placement="eplb", n_redundant_experts=16),
    Layout(ep=8, expert_placement="eplb_hierarchical", n_redundant_experts=8, replica_choice="nearest"),
)
CASES = list(itertools.product(DRAWS, POPULARITIES, POLICIES, LAYOUTS))
TOKENS = 24.0


def step(draw, popularity, policy, layout, **changes):
    model = replace(tiny(), moe=replace(tiny().moe, n_routed_experts=32, n_zero_experts=16))
    ffn = FfnExperts(kind="beta_binomial", mean=2.0, std=0.9) if policy in {"skip", "remap0"} else FfnExperts()
    base = StepSpec(
        model=model, n_gpus=16, devices_per_node=4, phase="decode", layout=layout, seed=3,
        batch=Batch(sequences_per_gpu=TOKENS, context_tokens=10),
        routing=RoutingSpec(popularity=popularity, draw=draw, zero_experts=policy, ffn_experts=ffn),
    )  # fmt: skip
    return replace(base, **changes)


@pytest.mark.parametrize(("draw", "popularity", "policy", "layout"), CASES)
def test_each_expert_group_receives_the_copies_that_it_sends(draw, popularity, policy, layout):
    loads = routed_loads(step(draw, popularity, policy, layout), np.full(16, TOKENS))

    def by_group(load_LR):
        return load_LR.reshape(len(load_LR), -1, layout.ep).sum(axis=2)

    for sent, received in (
        (loads.sent_node_LR, loads.received_node_LR),
        (loads.sent_remote_LR, loads.received_remote_LR),
        (loads.nic_sent_LR, loads.nic_received_LR),
        (loads.nvlink_sent_LR, loads.nvlink_received_LR),
    ):
        assert by_group(sent) == pytest.approx(by_group(received), rel=1e-12)
        assert (sent >= 0.0).all()
        assert (received >= 0.0).all()


@pytest.mark.parametrize(("draw", "popularity", "policy", "layout"), CASES)
def test_every_copy_that_arrives_or_stays_is_a_row_of_an_expert(draw, popularity, policy, layout):
    loads = routed_loads(step(draw, popularity, policy, layout), np.full(16, TOKENS))
    arrived_LR = loads.local_LR + loads.received_node_LR + loads.received_remote_LR
    assert loads.rows_LR == pytest.approx(arrived_LR, rel=1e-12)
    sent_LR = loads.local_LR + loads.sent_node_LR + loads.sent_remote_LR
    k = {"skip": 2.0, "k8": 2.0, "none": 3.0, "remap0": 3.0}[policy]  # of top 3, two are FFN experts in the mean
    if draw == "mean" or policy != "skip":
        assert sent_LR == pytest.approx(np.full_like(sent_LR, TOKENS * k), rel=1e-9)
    assert (loads.active_LR <= (32 + layout.n_redundant_experts) / layout.ep * (1 + 1e-12)).all()


@pytest.mark.parametrize("all_to_all", ["low_latency", "normal"])
@pytest.mark.parametrize(("draw", "popularity"), list(itertools.product(DRAWS, POPULARITIES[:2])))
@pytest.mark.parametrize("schedule", ["sbo", "tbo"])
def test_every_collective_of_a_graph_receives_what_it_sends(draw, popularity, schedule, all_to_all):
    for layout in (*LAYOUTS, Layout(ep=16, attention_tp=2, dense_tp=4)):
        graph = lower(step(draw, popularity, "skip", layout, all_to_all=all_to_all), schedule)
        moving = [op.work.traffic for op in graph.ops if op.work.traffic]
        assert moving
        for traffic in moving:
            for distance, sent_C in traffic.sent_C.items():
                received_C = traffic.received_C[distance]
                assert np.dot(graph.n_alike_C, sent_C) == pytest.approx(np.dot(graph.n_alike_C, received_C), rel=1e-9)
