"""Published request traces are read whole, as the tables that describe them say."""

import os
from pathlib import Path

import numpy as np
import pytest

from workloads.traffic.recorded import read_requests

ROOT = Path(__file__).parents[2]
TRACES = Path(os.environ.get("LONGSIM_DATA", ROOT.parent / "shared" / "data")) / "traces"
pytestmark = pytest.mark.skipif(not TRACES.is_dir(), reason=f"no request traces at {TRACES}; set LONGSIM_DATA")

N_REQUESTS = {
    "azure_llm_2023_code.csv": 8819,
    "azure_llm_2023_conv.csv": 19366,
    "mooncake_conversation_first1500.jsonl": 1500,
    "mooncake_synthetic_first1000.jsonl": 1000,
}


@pytest.mark.parametrize("name", N_REQUESTS)
def test_a_published_trace_has_its_requests_in_order(name):
    chunks = list(read_requests(TRACES / name, chunk_rows=1000))
    arrival_s = np.concatenate([chunk.arrival_s_N for chunk in chunks])
    assert len(arrival_s) == N_REQUESTS[name]
    assert (np.diff(arrival_s) >= 0).all()


@pytest.mark.parametrize("name", ["azure_llm_2023_code.csv", "azure_llm_2023_conv.csv"])
def test_the_traces_of_azure_span_about_an_hour(name):
    *_, last = read_requests(TRACES / name)
    assert last.arrival_s_N[-1] == pytest.approx(3600, rel=0.05)


def test_the_second_request_of_the_code_trace_to_the_microsecond():
    first = next(read_requests(TRACES / "azure_llm_2023_code.csv"))
    assert first.arrival_s_N[1] == pytest.approx(0.052, abs=1e-9)  # 18:17:03.9799600 to 18:17:04.0319600
    assert (first.prompt_tokens_N[1], first.output_tokens_N[1]) == (3180, 8)


def test_requests_of_the_conversation_trace_share_their_first_block():
    chunk = next(read_requests(TRACES / "mooncake_conversation_first1500.jsonl"))
    assert [ids[0] for ids in chunk.prefix_ids[:3]] == [0, 0, 0]
    assert [len(ids) for ids in chunk.prefix_ids] == (-(-chunk.prompt_tokens_N // 512)).tolist()
