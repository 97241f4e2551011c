"""The residual page: one file with the scatter of every table, errors by group and the worst rows."""

import re

import numpy as np
import pandas as pd
import pytest

from hw_profiles.curves.gemm import gemm_s
from hw_profiles.curves.records import from_record
from simulator.report.residuals import scatter_figure
from validation.calibrate import PROFILES_DIR
from validation.chips import CHIPS
from validation.kernels import read_fitted

CURVE = from_record(read_fitted(PROFILES_DIR)["h100_sxm"]["families"]["gemm"]["bfloat16"])
EVIL = "</script><script>alert(1)</script>"


@pytest.fixture
def page(longsim, tmp_path):
    m = np.array([1.0, 64.0, 4096.0])
    seconds = gemm_s(m, 7168.0, 2048.0, chip=CHIPS["h100_sxm"], curve=CURVE)
    rows = pd.DataFrame({"system": "h100", "dtype": "bfloat16", "m": m.astype(int), "n": 7168, "k": 2048,
                         "latency_us": seconds * 1e6, "note": EVIL})  # fmt: skip
    rows.to_csv(tmp_path / "gemm.csv", index=False)

    def write(*options):
        path = tmp_path / "page.html"
        said = longsim("validate", "kernels", "--data", tmp_path, "--report", path, *options)
        assert said.code == 0
        assert f"report: {path}" in said.err
        return path.read_text(encoding="utf-8")

    return write


def own_markup(page):
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_the_page_tells_figures_worst_rows_and_each_table(page):
    markup = own_markup(page())
    assert re.findall(r"<h2>(.*?)</h2>", markup) == ["Worst rows", "gemm"]
    assert "no source of the fit; every row is judged" in markup
    assert "h100|bfloat16" in markup
    assert markup.count('class="plot"') == 1


def test_the_page_loads_nothing_and_escapes_what_it_shows(page):
    text = page("--by", "note")
    assert EVIL not in text
    assert "default-src 'none'" in text


def test_a_scatter_has_a_line_of_agreement_and_one_colour_per_system():
    rows = pd.DataFrame({"system": ["h100", "h200"], "measured_s": [1e-5, 2e-5], "predicted_s": [1e-5, 3e-5],
                         "group": "g", "shape": "m=1", "error": [0.0, 0.5], "extrapolated": [False, True]})  # fmt: skip
    agreed, first, second = scatter_figure(rows).data
    assert list(agreed.x) == list(agreed.y) == [1e-5, 3e-5]
    assert first.marker.color != second.marker.color
    assert second.marker.symbol == ("x-thin-open",)


def test_a_page_that_cannot_be_written_is_refused_before_anything_is_judged(longsim, tmp_path):
    said = longsim("validate", "kernels", "--data", tmp_path / "absent", "--report", tmp_path / "no" / "page.html")
    assert (said.code, said.faults[0].split(":")[0]) == (2, "--report")
