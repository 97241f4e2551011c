"""The suites of kernels and published figures on the published data itself."""

import os
from pathlib import Path

import pytest

from validation.suites.kernels import judge_kernels
from validation.suites.published import published_document

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("LONGSIM_DATA", ROOT.parent / "shared" / "data"))
pytestmark = pytest.mark.skipif(
    not (DATA / "hopper").is_dir(), reason=f"published tables are not at {DATA}; set LONGSIM_DATA"
)

# Median error that each kind of published figure keeps; versions of the libraries differ from the curves' tables. The
# eight normal all-to-alls stand at 0.21: four are of a later release (57 GB/s) than the tables' (45 GB/s).
KINDS = {"a2a_low_latency": 0.05, "a2a_normal": 0.22, "a2a_nvlink": 0.25, "collective": 0.20, "kernel_gemm": 0.25}


@pytest.fixture(scope="module")
def document():
    return judge_kernels(DATA / "hopper" / "deepep_low_latency.csv").document


def test_a_source_of_the_fit_is_judged_by_split_and_nothing_is_lost(document):
    summary = document["summary"]
    assert {row["split"] for row in document["tables"]} == {"point", "site"}
    assert sum(row["n"] for row in document["tables"]) == summary["n"]
    assert sum(row["refused"] for row in document["tables"]) == summary["refused"]
    rows = len((DATA / "hopper" / "deepep_low_latency.csv").read_text().splitlines()) - 1
    assert summary["n"] + summary["refused"] + summary["fitted"] == 2 * rows  # dispatch and combine


def test_most_low_latency_groups_meet_their_bar(document):
    assert document["summary"]["n_ok"] >= 0.8 * document["summary"]["n_bars"]


@pytest.fixture(scope="module")
def published():
    return published_document(DATA / "measured" / "published_points.json")


@pytest.mark.parametrize("kind", KINDS)
def test_published_figures_are_predicted(published, kind):
    assert published["summary"]["by_kind"][kind]["median"] <= KINDS[kind]


def test_every_point_of_a_kernel_or_collective_is_a_row_or_skipped(published):
    summary = published["summary"]
    assert summary["n_shown"] + summary["n_skipped"] + summary["n_of_other_kinds"] == 515
    assert all(item["reason"] for item in published["skipped"])
