"""Typed figures of expert loads are those of the published table."""

import os
from pathlib import Path

import pytest

from validation.suites.balance import compare_with_tables, power_law_rows, readme_rows, statistics_rows

ROOT = Path(__file__).parents[2]
TABLE = Path(os.environ.get("LONGSIM_DATA", ROOT.parent / "shared" / "data")) / "measured" / "expert_load.json"


@pytest.mark.skipif(not TABLE.is_file(), reason=f"the published table is not at {TABLE}; set LONGSIM_DATA")
def test_typed_figures_are_those_of_the_table():
    rows = [*readme_rows(), *power_law_rows(1), *statistics_rows(1)]
    assert all(row["in_data"] for row in rows)
    assert compare_with_tables(rows, TABLE) == []
