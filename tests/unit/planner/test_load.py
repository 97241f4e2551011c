"""What a trace asks of a replica, by hand."""

import pytest

from simulator.planner.load import load_of

TRACE = """{"timestamp": 0, "input_length": 1024, "output_length": 3, "hash_ids": [1, 2]}
{"timestamp": 1000, "input_length": 1536, "output_length": 5, "hash_ids": [1, 2, 3]}
{"timestamp": 2000, "input_length": 1024, "output_length": 4, "hash_ids": [1, 2]}
{"timestamp": 4000, "input_length": 512, "output_length": 4, "hash_ids": [9]}
"""


def test_a_trace_brings_its_rate_its_lengths_and_its_prefixes(question_of, tmp_path):
    path = tmp_path / "trace.jsonl"
    path.write_text(TRACE, encoding="utf-8")
    traffic = {"trace": str(path)}
    load = load_of(question_of(traffic={**traffic, "prompt": "fixed:4000", "output": "fixed:1000"}))
    assert load.rate_per_s == pytest.approx(1.0)  # 4 requests in 4 s
    assert load.prompt_tokens == pytest.approx(1024.0)
    assert load.decoded_tokens == pytest.approx(3.0)
    assert load.cached_tokens == pytest.approx((1024 + 1023) / 4)  # blocks 1, 2 again; all of the third prompt but one
