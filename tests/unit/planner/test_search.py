"""The search against trying everything, and sizing both ways."""

import pytest

from simulator.planner.operating import Point
from simulator.planner.search import ROLES, search
from simulator.planner.sizing import Pools, best_plan, smallest
from simulator.planner.workshop import promise_of

pytestmark = pytest.mark.slow


def exhaustive(shop, role, promise, most):
    points = [shop.replica(family).point(promise) for family in shop.families(role, most)]
    return [point for point in points if isinstance(point, Point)]


def pools_of(shop, points, think_s=None):
    return Pools(machine="h100_sxm", node=8, most_gpus=64, usd_per_gpu_hour=2.0, load=shop.load, users_think_s=think_s,
                 **points)  # fmt: skip


def test_the_search_finds_the_best_of_all_plans_on_a_small_space(shop_of):
    shop = shop_of(targets={"ttft_s": 1.5, "tpot_s": 0.02})
    promise = promise_of(shop.question)
    found = pools_of(shop, {role: search(shop, role, promise, 8).best for role in ROLES})
    everything = pools_of(shop, {role: exhaustive(shop, role, promise, 8) for role in ROLES})
    for n_gpus in (2, 4, 8, 16, 24):
        best, truth = best_plan(found, n_gpus), best_plan(everything, n_gpus)
        assert best.rate_per_s == pytest.approx(truth.rate_per_s, rel=1e-6), n_gpus  # bisection starts elsewhere


@pytest.mark.parametrize("think_s", [None, 4.0])
def test_the_gpus_of_a_rate_and_the_rate_of_these_gpus_agree(shop_of, think_s):
    shop = shop_of()
    promise = promise_of(shop.question)
    pools = pools_of(shop, {role: search(shop, role, promise, 8).best for role in ROLES}, think_s)
    counts = pools.counts(64)
    for n_gpus in counts:
        plan = best_plan(pools, n_gpus)
        if plan is None:
            continue
        again = smallest(pools, pools.worth(plan), counts)
        assert pools.worth(again) == pytest.approx(pools.worth(plan))
        assert again.n_used <= plan.n_used
        more = smallest(pools, pools.worth(plan) * 1.001, counts)
        assert more is None or more.n_gpus > n_gpus


def test_more_gpus_never_take_less(shop_of):
    shop = shop_of()
    promise = promise_of(shop.question)
    pools = pools_of(shop, {role: search(shop, role, promise, 8).best for role in ROLES})
    worths = [pools.worth(plan) if (plan := best_plan(pools, n)) else 0.0 for n in pools.counts(64)]
    assert worths == sorted(worths)
