"""Serving on the recorded vLLM runs themselves."""

import os
from pathlib import Path

import pytest

from validation.suites.serving import compare_runs, run_folders, serving_document

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("LONGSIM_DATA", ROOT.parent / "shared" / "data"))
pytestmark = pytest.mark.skipif(
    not (DATA / "vllm_runs").is_dir(), reason=f"recorded runs are not at {DATA}; set LONGSIM_DATA"
)


@pytest.fixture(scope="module")
def comparisons():
    return compare_runs(run_folders(DATA))


def test_every_statistic_of_every_run_meets_its_bar(comparisons):
    missed = [row["id"] for row in serving_document(comparisons)["rows"] if not row["ok"]]
    assert missed == []


def test_every_request_is_answered_and_none_twice(comparisons):
    for comparison in comparisons:
        replayed = comparison.replayed.requests
        assert (replayed["state"] == "done").all()
        assert len(replayed) == len(comparison.run.requests)


def test_the_batch_over_time_is_the_recorded_one(comparisons):
    for comparison in comparisons:
        recorded, replayed = comparison.run.series, comparison.replayed.samples.set_index("time_s")["running"]
        seen = [replayed.asof(time_s) for time_s in recorded["time_s"]]
        # the clock of the series starts up to a second apart, in which 10 requests arrive: 10 of at most 128
        assert abs(recorded["running"] - seen).mean() <= 10
