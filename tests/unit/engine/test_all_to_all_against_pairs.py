"""The engine's all-to-all (one activity per rank, all its bytes out and in at once, ended as a group) against flows
per pair.

What is provable: the aggregated time is that of the busiest link end, which no sharing of the links can beat. Fair
flows reach it where the busiest end is kept busy throughout: balanced traffic, one hot destination.
"""

from dataclasses import replace

import numpy as np
import pytest
from toy import CAPACITIES, op, times_of
from unit.engine.pair_oracle import all_to_all_s, fair_rates

from workloads.batch import Batch, RoutingSpec
from workloads.layout import Layout
from workloads.loads import routed_loads
from workloads.placements import layer_routings
from workloads.routing import ffn_expert_distribution, sample_choices
from workloads.step import StepSpec
from workloads.zoo import tiny

LINK = CAPACITIES.bytes_per_s["link.egress"]
ROUTED_EXCESS = 0.01  # fair flows of sampled, balanced routing (16 ranks, 512 choices each) take at most so much longer
SKEWED_EXCESS = 0.10  # and flows with sizes of a heavy tail (lognormal, sigma 1)


def aggregated_s(bytes_SD):
    moved_SD = np.where(np.eye(len(bytes_SD), dtype=bool), 0.0, bytes_SD)
    n = len(moved_SD)
    exchange = op("comm", egress=moved_SD.sum(axis=1), ingress=moved_SD.sum(axis=0), group=[0] * n, n_classes=n)
    return float(times_of([exchange], n_classes=n).end_OC.max())


def busiest_end_s(bytes_SD):
    moved_SD = np.where(np.eye(len(bytes_SD), dtype=bool), 0.0, bytes_SD)
    return max(moved_SD.sum(axis=0).max(), moved_SD.sum(axis=1).max()) / LINK


def routed_pairs(seed):
    """Copies per (source, destination) of one sampled layer on 16 ranks, and the loads that lowering sees."""
    model = tiny()
    model = replace(model, moe=replace(model.moe, n_routed_experts=64, n_zero_experts=32, top_k=12, mean_ffn_experts=8))
    step = StepSpec(
        model=model, n_gpus=16, devices_per_node=4, phase="decode", layout=Layout(ep=16), seed=seed,
        batch=Batch(sequences_per_gpu=64), routing=RoutingSpec(draw="sample"),
    )  # fmt: skip
    pmf_K = ffn_expert_distribution(model.moe, step.routing.ffn_experts, step.routing.zero_experts)
    token, expert = sample_choices(np.full(64, 1 / 64), pmf_K, 16 * 64, np.random.default_rng([seed, 2, 0]))
    rank_N = next(layer_routings(step)).placement.first_rank_N
    pairs_SD = np.zeros((16, 16))
    np.add.at(pairs_SD, (token // 64, rank_N[expert]), 1.0)
    return pairs_SD, routed_loads(step, np.full(16, 64.0))


def test_the_oracle_shares_the_bottleneck_and_leaves_the_rest_to_the_others():
    # Sources 0 and 1 both send to 2: half a link each. Source 0 also sends to 1, and has its other half for that.
    open_SD = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]], dtype=bool)
    assert fair_rates(open_SD, 1.0) == pytest.approx(np.array([[0, 0.5, 0.5], [0, 0, 0.5], [0, 0, 0]]))


@pytest.mark.parametrize("n_ranks", [2, 5, 16])
def test_balanced_traffic_takes_the_same_time_aggregated(n_ranks):
    bytes_SD = np.full((n_ranks, n_ranks), 1_000.0)
    assert aggregated_s(bytes_SD) == pytest.approx((n_ranks - 1) * 1e-6, rel=1e-12)
    assert all_to_all_s(bytes_SD, LINK) == pytest.approx(aggregated_s(bytes_SD), rel=1e-9)


@pytest.mark.parametrize("n_ranks", [3, 16])
def test_one_hot_destination_takes_the_same_time_aggregated(n_ranks):
    bytes_SD = np.full((n_ranks, n_ranks), 100.0)
    bytes_SD[:, 1] = 2_000.0
    assert aggregated_s(bytes_SD) == pytest.approx((n_ranks - 1) * 2e-6, rel=1e-12)
    assert all_to_all_s(bytes_SD, LINK) == pytest.approx(aggregated_s(bytes_SD), rel=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_skewed_traffic_is_bound_by_its_busiest_end_and_fair_flows_come_close(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 17))
    bytes_SD = rng.lognormal(7.0, 1.0, size=(n, n))
    aggregated, pairs = aggregated_s(bytes_SD), all_to_all_s(bytes_SD, LINK)
    assert aggregated == pytest.approx(busiest_end_s(bytes_SD), rel=1e-12)
    assert aggregated * (1 - 1e-9) <= pairs <= aggregated * (1 + SKEWED_EXCESS)


@pytest.mark.parametrize("seed", range(6))
def test_routed_traffic_is_bound_by_its_busiest_end_and_fair_flows_come_close(seed):
    pairs_SD, _ = routed_pairs(seed)
    bytes_SD = pairs_SD * 64.0
    aggregated, pairs = aggregated_s(bytes_SD), all_to_all_s(bytes_SD, LINK)
    assert aggregated == pytest.approx(busiest_end_s(bytes_SD), rel=1e-12)
    assert aggregated * (1 - 1e-9) <= pairs <= aggregated * (1 + ROUTED_EXCESS)


@pytest.mark.parametrize("seed", range(3))
def test_lowering_sends_and_receives_what_the_pairs_add_up_to(seed):
    pairs_SD, loads = routed_pairs(seed)
    node_R = np.arange(16) // 4
    near_SD = (node_R[:, None] == node_R) & ~np.eye(16, dtype=bool)
    far_SD = node_R[:, None] != node_R
    assert np.array_equal(loads.local_LR[0], np.diagonal(pairs_SD))
    assert np.array_equal(loads.sent_node_LR[0], (pairs_SD * near_SD).sum(axis=1))
    assert np.array_equal(loads.received_node_LR[0], (pairs_SD * near_SD).sum(axis=0))
    assert np.array_equal(loads.sent_remote_LR[0], (pairs_SD * far_SD).sum(axis=1))
    assert np.array_equal(loads.received_remote_LR[0], (pairs_SD * far_SD).sum(axis=0))
