"""Passes of bytes around the experts and the attention core against DeepSeek's own kernels in its training trace
(112 SMs, H800)."""

import os
from pathlib import Path

import pandas as pd
import pytest

from hw_profiles.curves.elementwise import PUBLISHED_ELEMENTWISE, elementwise_s
from simulator.scenario import load_scenario
from validation.chips import CHIPS
from workloads.lower import lower

DATA = Path(os.environ.get("LONGSIM_DATA", Path(__file__).parents[3] / "shared" / "data"))
TRACE = DATA / "measured" / "dsv3_train_trace_kernels.csv"
pytestmark = pytest.mark.skipif(not TRACE.is_file(), reason=f"published tables are not at {DATA}; set LONGSIM_DATA")

HIDDEN, WIDTH = 7168.0, 2048.0
BYTES_PER_ROW = {
    "moe_permute": 2.0 * HIDDEN,  # FP8 in and out
    "moe_unpermute": 2.0 * 2.0 * HIDDEN,  # BF16 in and out
    "swiglu": (2.0 * 2.0 + 1.0) * WIDTH,  # BF16 gate and up in, FP8 out
}


@pytest.mark.parametrize("category", BYTES_PER_ROW)
def test_a_pass_takes_the_published_rule_s_time_within_a_fifth(category):
    """Padding and the copies that training keeps beside are not in the rule."""
    kernels = pd.read_csv(TRACE)
    forward = kernels[(kernels["pass"] == "F") & (kernels["op"] == "mlp")]
    rows_of_pair = forward[forward["gemm"] == "grouped_w13"].set_index("pair")["M"]
    measured = forward[forward["category"] == category].groupby("pair")["dur_us"].max() * 1e-6
    assert len(measured) == 3
    for pair, seconds in measured.items():
        moved = rows_of_pair[pair] * BYTES_PER_ROW[category]
        predicted = elementwise_s(moved, chip=CHIPS["h800_sxm"], curve=PUBLISHED_ELEMENTWISE)
        assert float(predicted) == pytest.approx(seconds, rel=0.2)


def test_assembling_keys_and_queries_takes_what_the_copies_before_the_core_do():
    """4,096 tokens: two copies of the trace before its forward core, keys and their shared part to every head."""
    scenario = load_scenario(
        "deepseek-v3-profile-prefill-h800x32", ["batch.sequences_per_gpu=1", "schedule=sequential"]
    )
    work = next(op.work for op in lower(scenario.step, "sequential").ops if op.work.name == "mla0.assemble")
    kernels = pd.read_csv(TRACE)
    forward = kernels[(kernels["pass"] == "F") & (kernels["op"] == "attn") & (kernels["category"] == "copy")]
    measured = forward[forward["dur_us"] > 50.0].groupby("pair")["dur_us"].sum() * 1e-6
    predicted = elementwise_s(work.activation_bytes_C, chip=CHIPS["h800_sxm"], curve=PUBLISHED_ELEMENTWISE)
    assert len(measured) == 3
    for seconds in measured:
        assert float(predicted[0]) == pytest.approx(seconds, rel=0.2)
