"""Which rows of a package's tables become the curves of a backend's kernels."""

from pathlib import Path

import pandas as pd
import pytest

from validation.importers import served
from validation.importers.package_tables import PerfTable


@pytest.fixture
def marlin(monkeypatch):
    """A package with one table: Marlin's INT4 experts of an H200, skewed and even loads."""
    rows = [
        {"moe_dtype": "int4_wo", "kernel_source": "marlin", "num_tokens": tokens, "hidden_size": 4096,
         "inter_size": inter, "topk": 4, "num_experts": 64, "moe_tp_size": tp, "moe_ep_size": 1,
         "distribution": distribution, "latency": 0.05 + inter / tp * tokens * 1e-7}
        for tokens in (1, 2, 4, 8, 16, 32, 64, 128) for inter in (1024, 2048) for tp in (1, 2)
        for distribution in ("balanced", "power_law_1.01")
    ]  # fmt: skip
    table = PerfTable(path=Path(__file__), name="moe", backend="vllm", version="0.24.0")
    monkeypatch.setattr(served, "data_folder", Path)
    monkeypatch.setattr(served, "perf_tables", lambda folder, system: [table])
    monkeypatch.setattr(served, "read_perf", lambda table: pd.DataFrame(rows))
    return served.served_content("h200_sxm")


def test_a_kernel_stands_for_another_format_that_it_serves_too(marlin):
    groups = marlin["families"]["served_experts"]
    assert sorted(groups) == ["vllm|int4_wo", "vllm|w4a16_mxfp4"]
    assert all((group["engine"], group["version"]) == ("vllm", "0.24.0") for group in groups.values())


def test_only_skewed_loads_are_fitted_on(marlin):
    assert all(group["n_rows"] <= 32 for group in marlin["families"]["served_experts"].values())


def test_the_tables_behind_the_curves_are_named_by_hash(marlin):
    assert list(marlin["sources"]) == ["moe vllm 0.24.0"]
