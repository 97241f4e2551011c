"""The suite of collectives on the published data itself, and its typed rows against the published figures."""

import json
import os
from pathlib import Path

import pytest

from validation.collective_versions import published
from validation.suites.collectives import collectives_document

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("LONGSIM_DATA", ROOT.parent / "shared" / "data"))
POINTS = DATA / "measured" / "published_points.json"
pytestmark = pytest.mark.skipif(not POINTS.is_file(), reason=f"published tables are not at {DATA}; set LONGSIM_DATA")
# Versions by the name that the published figures have for them.
LOW_LATENCY = {"pure_rdma": "pure RDMA", "nvlink": "NVLink where possible"}
NORMAL = {"v1_first": "DeepEP v1 2025-02-24", "v1_multi_qp": "DeepEP v1 2025-04-22"}


@pytest.fixture(scope="module")
def points():
    return json.loads(POINTS.read_text(encoding="utf-8"))


def typed(kind, name, side, ranks):
    unit = "us" if kind == "low_latency" else "gb_per_s"
    return published()[kind][name][f"{side}_{unit}"].get(str(ranks))


@pytest.mark.parametrize(("kind", "names"), [("low_latency", LOW_LATENCY), ("normal", NORMAL)])
def test_typed_rows_are_the_published_figures(points, kind, names):
    found = 0
    for name, words in names.items():
        for point in points:
            if point["kind"] == f"a2a_{kind}" and words in point["system"]:
                conditions = point["conditions"]
                assert typed(kind, name, conditions["op"], conditions["ep"]) == point["value"], point["id"]
                found += 1
    assert found > 8


@pytest.fixture(scope="module")
def document():
    return collectives_document(DATA)


def test_low_latency_meets_every_bar(document):
    groups = [group for group in document["groups"] if "low_latency" in group["group"] or "pure_rdma" in group["group"]]
    assert len(groups) == 7
    assert all(group["ok"] for group in groups)


def test_inside_the_measured_range_every_table_meets_its_bar(document):
    tables = [group for group in document["groups"] if group["in_range"]]
    measured = [group for group in tables if group["group"].startswith(("h100", "gb200")) and group["ok"] is not None]
    assert len(measured) == 12
    assert all(group["ok"] for group in measured)


def test_the_knee_of_eight_nodes_stands_where_it_was_measured(document):
    """4 to 24 SMs in steps of 4; beyond 4,096 tokens the measured combine jumps."""
    knees = [row for row in document["rows"] if row["unit"] == "SMs" and row["what"].startswith("8 nodes")]
    small = [row for row in knees if "8192" not in row["what"]]
    assert small
    assert all(row["predicted"] == row["measured"] == 12 for row in small)


def test_the_sum_counts_the_verdicts(document):
    verdicts = [group["ok"] for group in document["groups"] if group["ok"] is not None]
    assert document["summary"] == {"n": len(verdicts), "n_ok": sum(verdicts)}
