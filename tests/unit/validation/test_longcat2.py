"""LongCat-2.0 on EFA: what is fitted, what the rows say of order, and that both backends do the same work."""

import pytest

from simulator.evaluate import run_scenario
from validation.clusters.longcat2 import LATENCY_RANGE_S, _crossover_row, _order_row, fitted_latency_s, scenario, tpot_s
from validation.clusters.parts import typed_facts

FACTS = typed_facts("longcat2")
TABLE = {"concurrency": [1, 4, 16], "deepep": [3.0, 2.0, 1.0], "none": [2.0, 3.0, 4.0]}


def test_the_latency_is_found_again_from_steps_that_it_made():
    made = {name: [tpot_s(FACTS, name, 1, 6e-5) * 1e3] for name in FACTS["backends"]}
    table = {**FACTS["tpot_ms"], **made, "concurrency": [1]}
    assert fitted_latency_s({**FACTS, "tpot_ms": table}) == pytest.approx(6e-5, rel=0.01)


def test_the_latency_lies_inside_its_bounds():
    low, high = LATENCY_RANGE_S
    assert 1.1 * low < fitted_latency_s(FACTS) < 0.9 * high


@pytest.mark.parametrize(("deepep", "columns", "crossover"), [
    ([3.0, 2.0, 1.0], 3, 4),
    ([1.0, 2.0, 1.0], 2, 1),
    ([3.0, 2.0, 9.0], 2, 32),  # ahead in between, not to the end
])  # fmt: skip
def test_order_counts_columns_and_crossover_is_where_the_lead_stays(deepep, columns, crossover):
    found = {**TABLE, "deepep": deepep}
    assert _order_row("", TABLE, found, "").predicted == columns
    assert _crossover_row("", TABLE, found, "").predicted == crossover


def test_without_an_all_to_all_the_same_experts_are_computed():
    flops = []
    for backend in FACTS["backends"]:
        run = run_scenario(scenario(FACTS, backend, 4e-5, prefill=False))
        flops.append(sum((op.work.flops_C * run.graph.n_alike_C).sum() for op in run.graph.ops))
    assert flops[0] == pytest.approx(flops[1])
