from dataclasses import replace

import pandas as pd
import pytest

from simulator.candidates import Candidate
from simulator.evaluate import evaluate
from simulator.report.rank_choice import shown_ranks
from simulator.scenario import build_scenario
from simulator.sweep import evaluate_all, slim

SMALL = {"model": "tiny", "machine": "h800_sxm", "n_gpus": 8, "layout": {"ep": 8}, "run": {"costs": "roofline"}}


def candidate(name, **changes):
    return Candidate(chosen={"seed": name}, name=name, scenario=build_scenario({**SMALL, "name": name, **changes}))


@pytest.fixture
def three():
    """One that runs, one refused before, one that fails while it runs."""
    refused = Candidate(chosen={}, name="b", scenario=None, reason="layout.ep: got 3")
    failing = candidate("c")
    return [candidate("a"), refused, replace(failing, scenario=replace(failing.scenario, schedule="nothing"))]


@pytest.mark.parametrize("n_workers", [1, 2])
def test_what_fails_is_an_answer_with_its_reason_in_its_place(three, n_workers):
    counted = []
    answers = evaluate_all(three, lambda: counted.append(1), n_workers=n_workers)
    assert [(a.name, a.feasible, a.reason) for a in answers] == [
        ("a", True, ""), ("b", False, "layout.ep: got 3"), ("c", False, "failed: KeyError: 'nothing'"),
    ]  # fmt: skip
    assert len(counted) == 3


def test_processes_of_their_own_give_the_same_answers(three):
    one, two = (evaluate_all(three[:1], n_workers=n)[0] for n in (1, 2))
    assert one.metrics == two.metrics
    pd.testing.assert_frame_equal(one.timeline, two.timeline)


def test_a_slim_answer_keeps_the_ranks_that_a_report_shows():
    whole = evaluate(build_scenario({**SMALL, "routing": {"draw": "sample"}}))
    kept = slim(whole)
    ranks = {rank.rank for rank in shown_ranks(whole.timeline)}
    assert set(kept.timeline["rank"]) == ranks
    assert whole.timeline["rank"].nunique() > len(ranks)
    assert {rank.rank for rank in shown_ranks(kept.timeline)} == ranks
