"""Points of a replica on step times that are known by heart."""

from math import inf, log

import pytest

from simulator.planner.load import Load
from simulator.planner.operating import Promise, Refusal, Replica
from simulator.planner.replica_limits import Limits
from simulator.planner.solving import largest
from simulator.planner.space import Family
from workloads.layout import Layout

LOAD = Load(prompt_tokens=1000.0, cached_tokens=0.0, decoded_tokens=100.0, context_tokens=1050.0, longest_tokens=1100.0)
PROMISE = Promise(ttft_s=inf, ttft_quantile=0.5, tpot_s=0.1, tpot_quantile=0.5)


class Straight:
    """10 ms, 1 ms more for each decode, 100 ms for each prompt."""

    def seconds(self, batch):
        return 0.01 + 0.001 * batch.n_decode + 0.1 * len(batch.prefills)


def replica(role, room=1000, times=None, prefill_tokens=1000):
    family = Family(machine="toy", role=role, n_gpus=1, layout=Layout(), schedule="sequential", precision="fp8",
                    n_draft=0, prefill_tokens=prefill_tokens)  # fmt: skip
    return Replica(family, Limits(most_sequences=room), LOAD, times or Straight(), accepted=1.0)


def test_a_decode_replica_holds_as_many_as_the_target_allows():
    point = replica("decode").point(PROMISE)  # 10 ms + 90 × 1 ms = 100 ms; the median of the number in it is its mean
    assert (point.most_sequences, point.sequences, point.limited_by) == (90, 90.0, "tpot")
    assert point.rate_per_s == pytest.approx(90 / (0.1 * 100))


def test_room_for_fewer_binds_before_the_target():
    point = replica("decode", room=40).point(PROMISE)
    assert (point.most_sequences, point.limited_by) == (40, "memory")
    assert point.rate_per_s == pytest.approx(40 / (0.05 * 100))


def test_a_quantile_leaves_room_for_more_than_the_mean():
    promise = Promise(ttft_s=inf, ttft_quantile=0.5, tpot_s=0.1, tpot_quantile=0.9)
    n = replica("decode").point(promise).sequences
    assert n + 1.2816 * n**0.5 == pytest.approx(90.0, rel=1e-4)


def test_prompts_one_by_one_are_limited_by_a_queue():
    promise = Promise(ttft_s=0.5, ttft_quantile=0.9, tpot_s=inf, tpot_quantile=0.5)
    point = replica("prefill").point(promise)
    load, each_s = point.rate_per_s * 0.11, 0.11
    wait_s = each_s / 2.0 / (1.0 - load) * log(load / 0.1)
    assert each_s + wait_s == pytest.approx(0.5, rel=1e-3)


def test_together_decodes_wait_for_prompts():
    point = replica("together").point(PROMISE)
    n, rate = point.sequences, point.rate_per_s
    alone_s = 0.01 + 0.001 * n
    assert point.tpot_s == pytest.approx(alone_s / (1.0 - rate * 0.11), rel=1e-3)  # 110 ms of each prompt
    assert point.tpot_s <= 0.1


@pytest.mark.parametrize(("role", "promise", "target"), [
    ("decode", Promise(ttft_s=inf, ttft_quantile=0.5, tpot_s=0.005, tpot_quantile=0.5), "tpot"),
    ("prefill", Promise(ttft_s=0.05, ttft_quantile=0.5, tpot_s=inf, tpot_quantile=0.5), "ttft"),
])  # fmt: skip
def test_a_target_that_one_alone_misses_is_refused_with_what_is_reached(role, promise, target):
    refusal = replica(role).point(promise)
    assert isinstance(refusal, Refusal)
    assert (refusal.target, refusal.reaches) == (target, pytest.approx({"tpot": 0.011, "ttft": 0.11}[target]))


def test_no_room_is_refused():
    assert replica("decode", room=0).point(PROMISE).target == "memory"


@pytest.mark.parametrize("first", [1, 3, 40, 1000])
@pytest.mark.parametrize("most", [0, 1, 2, 7, 64, 77, 999])
def test_the_largest_is_found_wherever_the_search_begins(first, most):
    assert largest(lambda n: n <= most, 500, first) == min(most, 500)
