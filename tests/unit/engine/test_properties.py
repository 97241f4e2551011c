"""What holds for every graph on the engine, by hypothesis. That contention, more SMs or less work shorten a makespan
does not: list scheduling has anomalies (Graham, 1969)."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import CAPACITIES, times_of
from unit.engine.graphs import STREAMS, activity_graphs, chain_bound_s, repeated, resource_bound_s

from simulator.engine.plan import alone_s
from simulator.engine.sharing import grant_sms, make_claim, progress_rates

ROUNDING = 1e-8  # the engine counts an op as done when less than 1e-9 of its work is left


@given(activity_graphs())
def test_no_run_beats_its_longest_chain_or_its_busiest_resource(graph):
    activities, n_classes = graph
    makespan = times_of(activities, n_classes=n_classes).end_OC.max()
    assert makespan >= chain_bound_s(activities, n_classes) * (1 - ROUNDING)
    assert makespan >= resource_bound_s(activities) * (1 - ROUNDING)


@given(activity_graphs())
def test_without_contention_a_run_is_its_longest_chain(graph):
    activities, n_classes = graph
    times = times_of(activities, n_classes=n_classes, contention=False)
    assert times.end_OC.max() == pytest.approx(chain_bound_s(activities, n_classes), rel=1e-12)


@given(activity_graphs(), st.booleans())
def test_streams_keep_their_order_and_nothing_starts_before_what_it_waits_for(graph, contention):
    activities, n_classes = graph
    times = times_of(activities, n_classes=n_classes, contention=contention)
    for stream in STREAMS:
        own = [i for i, a in enumerate(activities) if a.stream == stream]
        for before, after in itertools.pairwise(own):
            assert (times.start_OC[after] >= times.end_OC[before]).all()
    for i, activity in enumerate(activities):
        for dep in activity.deps:
            assert (times.start_OC[i] >= times.end_OC[dep]).all()


@given(activity_graphs())
def test_no_op_is_faster_than_alone_and_groups_end_together(graph):
    activities, n_classes = graph
    times = times_of(activities, n_classes=n_classes)
    for i, activity in enumerate(activities):
        d = activity.demand
        own_C = times.end_OC[i] - times.start_OC[i] - times.wait_OC[i] - d.tail_latency_s
        least_C = d.latency_s_C + alone_s(d, CAPACITIES)
        assert (own_C >= least_C * (1 - ROUNDING) - 1e-12).all()
        assert (times.wait_OC[i] >= 0.0).all()
        for g in () if d.group_C is None else set(d.group_C.tolist()):
            assert np.ptp(times.end_OC[i][d.group_C == g]) == 0.0


@given(activity_graphs())
def test_the_same_graph_gives_the_same_times_bit_for_bit(graph):
    activities, n_classes = graph
    first, second = (times_of(activities, n_classes=n_classes) for _ in range(2))
    assert np.array_equal(first.start_OC, second.start_OC)
    assert np.array_equal(first.end_OC, second.end_OC)
    assert np.array_equal(first.wait_OC, second.wait_OC)


@given(activity_graphs(), st.booleans(), st.booleans())
def test_ranks_that_are_alike_simulated_once_are_all_of_them_simulated(graph, groups_apart, contention):
    activities, n_classes = graph
    once = times_of(activities, n_classes=n_classes, contention=contention)
    twins = repeated(activities, n_classes, groups_apart=groups_apart)
    both = times_of(twins, n_classes=2 * n_classes, contention=contention)
    assert np.array_equal(both.start_OC, np.tile(once.start_OC, 2))
    assert np.array_equal(both.end_OC, np.tile(once.end_OC, 2))
    assert np.array_equal(both.wait_OC, np.tile(once.wait_OC, 2))


CAPACITY = [1000.0, 40.0, 40.0]
_claims = st.lists(
    st.builds(
        lambda sm_s, sms, holds, amounts: make_claim(
            sm_s=float(sm_s), sms=max(sms, sm_s > 0), holds=holds, bytes_on=list(enumerate(amounts)), capacity=CAPACITY
        ),
        st.integers(0, 5), st.integers(0, 12), st.booleans(), st.lists(st.integers(0, 9), min_size=3, max_size=3),
    ).filter(lambda claim: claim.sm_s > 0 or claim.bytes_on),
    min_size=1, max_size=6,
)  # fmt: skip


@given(_claims)
def test_rates_overload_nothing_and_whoever_could_go_faster_is_stopped_by_a_full_resource(claims):
    rates, granted = progress_rates(claims, 10, CAPACITY), grant_sms(claims, 10)
    used = [
        sum(rate * dict(c.bytes_on).get(r, 0.0) for rate, c in zip(rates, claims, strict=True))
        for r in range(len(CAPACITY))
    ]
    full = {r for r, capacity in enumerate(CAPACITY) if used[r] >= capacity * (1 - 1e-9)}
    assert all(used[r] <= capacity * (1 + 1e-9) for r, capacity in enumerate(CAPACITY))
    for claim, rate, sms in zip(claims, rates, granted, strict=True):
        stands_still = claim.sms > 0 and sms == 0
        limit = 0.0 if stands_still else (sms / claim.sm_s if claim.sm_s else float("inf"))
        assert rate <= limit * (1 + 1e-9)
        assert rate >= limit * (1 - 1e-9) or full & {r for r, _ in claim.bytes_on}


@given(_claims, st.integers(0, 5))
def test_no_kernel_loses_sms_when_an_earlier_one_leaves(claims, leaves):
    before = grant_sms(claims, 10)
    leaves %= len(claims)
    after = grant_sms(claims[:leaves] + claims[leaves + 1 :], 10)
    assert sum(before) <= 10
    assert all(a >= b for a, b in zip(after, before[:leaves] + before[leaves + 1 :], strict=True))
