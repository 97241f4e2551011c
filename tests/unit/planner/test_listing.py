"""Which of two plans is cheaper, by hand."""

from dataclasses import replace
from math import nan

import pytest

from simulator.planner.listing import compared, cost
from simulator.planner.load import Load
from simulator.planner.operating import Point
from simulator.planner.question import Failures
from simulator.planner.sensitivity import Shortlist, break_even, other_prices
from simulator.planner.settle import Settled
from simulator.planner.sizing import Plan, Pools
from simulator.planner.space import Family
from simulator.planner.spares import with_spares, without_spares
from workloads.layout import Layout

FAILURES = Failures(mtbf_hours={"device": 50_000.0})


def option(unit_gpus, n_units, rate_per_s=10.0):
    """Units up 0.9987 of the time (16 GPUs) or 0.9948 (64), so that one spare of each is needed for 0.999."""
    family = Family(machine="toy", role="together", n_gpus=unit_gpus, layout=Layout(ep=unit_gpus), n_draft=0,
                    schedule="sequential", precision="fp8", prefill_tokens=8192)  # fmt: skip
    point = Point(family=family, rate_per_s=rate_per_s / n_units, sequences=1.0, most_sequences=1, prompts_per_step=1.0,
                  tpot_s=0.01, ttft_s=nan, limited_by="tpot")  # fmt: skip
    plan = Plan(machine="toy", serving="together", decode=point, n_decode=n_units, n_gpus=unit_gpus * n_units,
                usd_per_gpu_hour=2.0)  # fmt: skip
    bare = without_spares("replicas", FAILURES, unit_gpus=unit_gpus, n_needed=n_units, gpus_per_node=8,
                          weight_bytes=0.0)  # fmt: skip
    return Settled(plan=plan, rate_per_s=rate_per_s, confirmed=False, spares=tuple(with_spares([bare], 0.999)))


def test_small_units_need_fewer_spare_gpus_and_may_be_cheaper_for_it():
    small, large = option(16, 5), option(64, 1)
    assert (small.n_spare_gpus, large.n_spare_gpus) == (16, 64)
    assert small.plan.n_gpus > large.plan.n_gpus
    assert cost(small, 10.0)[0] == (80 + 16) * 2.0 < cost(large, 10.0)[0] == (64 + 64) * 2.0


def test_per_request_the_serving_gpus_count():
    assert cost(option(16, 5), 0.0)[0] == pytest.approx(160.0 / 10.0)


def test_a_plan_that_nobody_replayed_is_set_against_the_rate_before_replays():
    best = replace(option(16, 1), rate_per_s=8.0)  # replays left 8 of 10 requests/s
    other = option(16, 1)
    assert compared(best, other, 0.0) == (pytest.approx(3.2), pytest.approx(3.2))


def test_break_even_prices_make_both_cost_the_same():
    best, other = option(16, 5), option(64, 1)
    found = break_even(best, other, 10.0)
    n_gpus = other.plan.n_gpus + other.n_spare_gpus
    assert found.usd_per_gpu_hour * n_gpus == pytest.approx(best.usd_per_hour_with_spares)


def test_a_fifth_less_changes_the_answer_where_plans_are_that_close():
    best, other = option(16, 5), replace(option(16, 6), rate_per_s=10.0)
    there = replace(other, plan=replace(other.plan, machine="elsewhere"))
    short = Shortlist(families=[], plan=best.plan, counts=[], wanted=10.0, pools=Pools(
        machine="toy", node=8, most_gpus=256, usd_per_gpu_hour=2.0, prefill=[], decode=[], together=[],
        load=Load(prompt_tokens=1.0, cached_tokens=0.0, decoded_tokens=1.0, context_tokens=1.0, longest_tokens=2.0),
    ))  # fmt: skip
    rows = {row.change: row for row in other_prices([best, there], short, ["toy", "elsewhere"])}
    assert rows["+ 20 % price of elsewhere"].same
    assert not rows["− 20 % price of elsewhere"].same  # 112 GPUs at 1.6 against 96 at 2
    assert not rows["+ 20 % price of toy"].same
    assert rows["− 20 % price of toy"].same
