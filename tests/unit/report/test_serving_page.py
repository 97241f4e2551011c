"""The page and the Perfetto file of a serving run."""

import json

import numpy as np
import pandas as pd
import pytest

from simulator.report.serving_figures import latency_figure, thinned
from simulator.report.serving_page import write_serving_page
from simulator.report.serving_trace import write_serving_trace
from simulator.scenario import build_scenario
from simulator.serving.answer import serve
from simulator.serving.metrics import Slo
from workloads.traffic.sources import traffic_of


@pytest.fixture(scope="module")
def answer():
    tables = {"name": "small", "model": "tiny", "machine": "h800_sxm", "n_gpus": 8, "layout": {"ep": 8}}
    stream = traffic_of("poisson:100", n_requests=50, prompt="fixed:200", output="fixed:9")
    return serve(build_scenario({**tables, "serving": {"n_replicas": 2}}), stream, slo=Slo(ttft_s=0.5))


def test_the_page_says_the_verdict_and_every_knob_with_its_source(answer, tmp_path):
    path = tmp_path / "page.html"
    write_serving_page(answer, path, title="a & b")
    text = path.read_text()
    for words in ("Stable: 50 of 50 requests done", "a &amp; b", "max_num_seqs", "vllm/engine/arg_utils.py", "TTFT"):
        assert words in text


def test_a_distribution_ends_at_its_slowest_request(answer):
    drawn = latency_figure(answer.run, answer.slo)
    slowest_s = (answer.run.requests["first_token_s"] - answer.run.requests["arrival_s"]).max()
    assert drawn.data[0].x[-1] == slowest_s
    assert drawn.data[0].y[-1] == 100.0


def test_the_gaps_between_tokens_have_a_distribution_of_their_own(answer):
    (gaps,) = (line for line in latency_figure(answer.run, answer.slo).data if line.name == "ITL")
    assert len(gaps.x) == 400
    assert gaps.x[399] >= answer.metrics["itl_s"]["p99"] >= gaps.x[395]


def test_few_samples_stay_as_they_are(answer):
    samples = answer.run.samples
    assert thinned(samples.head(5)).equals(samples.head(5))


def test_a_long_idle_time_between_short_steps_counts_as_long_as_it_was():
    """Steps of a second, each tenth after nine idle ones: of every stretch of ten samples 10 of 19 s were busy, and
    nobody was there in the 9 s after each tenth sample."""
    n = 4000
    last = np.arange(n) % 10 == 9
    idle_s = np.where(np.arange(n) % 10 == 0, 9.0, 0.0)
    samples = pd.DataFrame({
        "time_s": np.cumsum(1.0 + idle_s), "running": np.where(last, 0, 19), "busy_share": 1.0 / (1.0 + idle_s),
    })  # fmt: skip
    means = thinned(samples)
    assert len(means) == 400
    assert means["busy_share"].to_numpy() == pytest.approx(10 / 19)
    assert means["running"].to_numpy()[:-1] == pytest.approx(9)


def test_the_slices_of_a_trace_are_the_busy_time_of_the_replicas(answer, tmp_path):
    path = tmp_path / "trace.json"
    write_serving_trace(answer.run, path, name="small")
    events = json.loads(path.read_text())["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert {event["pid"] for event in slices} == {0, 1}
    assert sum(event["dur"] for event in slices) / 1e6 == pytest.approx(answer.run.busy_s)
    assert {event["name"] for event in events if event["ph"] == "C"} == {
        "running", "waiting", "kv_used_share", "busy_share"
    }  # fmt: skip
