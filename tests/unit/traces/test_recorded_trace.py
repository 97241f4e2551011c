"""A trace that torch.profiler records here, of a small ScMoE layer, against a plain loop over its JSON."""

import json
from collections import defaultdict

import pytest

torch = pytest.importorskip("torch", reason="a trace is recorded with torch")

from torch.profiler import ProfilerActivity, profile, record_function
from unit.layers.tiny import tiny_spec

from validation.traces.reader import read_trace
from workloads.layers.block import Context, ScMoEBlock
from workloads.layers.rope import Rotation
from workloads.layers.settings import LayerSettings
from workloads.layers.weights import initialise

ROUNDING_S = 1e-6  # the promise: to the microsecond; the profiler writes whole nanoseconds
NAMES = {"attention_0": "mla0", "attention_1": "mla1", "ffn_0": "ffn0.gate_up", "moe": "experts"}


def named(module, name):
    """Let the profiler see a module's work under the name of our op."""
    forward = module.forward

    def run(*inputs):
        with record_function(name):
            return forward(*inputs)

    module.forward = run


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    torch.set_num_threads(1)
    spec = tiny_spec()
    block = ScMoEBlock(spec, LayerSettings())
    initialise(block, 0.3, torch.Generator().manual_seed(0))
    for part, name in NAMES.items():
        named(getattr(block, part), name)
    x_BSD = torch.randn(2, 5, spec.hidden, generator=torch.Generator().manual_seed(1))
    at = Context(rotation=Rotation.at(0, 5, 8, 1e7, x_BSD))
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiler:
        for layer in range(3):
            with record_function(f"layer{layer}"):
                block(x_BSD, at)
    path = tmp_path_factory.mktemp("trace") / "trace.json.gz"
    profiler.export_chrome_trace(str(path.with_suffix("")))
    return path.with_suffix("")


def outermost(events):
    """Operators that lie in no other of their thread, pair by pair; ends are whole ns."""
    ends = [(e["tid"], round(e["ts"] * 1e3), round((e["ts"] + e["dur"]) * 1e3)) for e in events]
    for this, (thread, start, end) in zip(events, ends, strict=True):
        around = [o for o in ends if o[0] == thread and o[1] <= start and end <= o[2] and (o[1] < start or end < o[2])]
        if not around:
            yield this


def test_totals_per_thread_are_those_of_the_outermost_operators(recorded):
    events = [e for e in json.loads(recorded.read_text())["traceEvents"] if e.get("cat") == "cpu_op"]
    expected_s = defaultdict(float)
    for event in outermost(events):
        expected_s[f"thread {event['tid']}"] += event["dur"] * 1e-6
    timeline = read_trace([recorded])
    lengths_s = (timeline["end_s"] - timeline["start_s"]).groupby(timeline["stream"].astype(str)).sum()
    assert lengths_s.to_dict() == pytest.approx(dict(expected_s), abs=ROUNDING_S)


def test_a_stream_never_overlaps_itself(recorded):
    for _, rows in read_trace([recorded]).groupby("stream", observed=True):
        assert (rows["start_s"].to_numpy()[1:] >= rows["end_s"].to_numpy()[:-1] - 2e-9).all()  # a ns at each end


def test_work_inside_named_modules_has_their_op_kind_and_layer(recorded):
    events = json.loads(recorded.read_text())["traceEvents"]
    notes = [e for e in events if e.get("cat") == "user_annotation" and e["name"] == "mla1"]
    inside = [e for e in outermost([e for e in events if e.get("cat") == "cpu_op"])
              if any(n["ts"] <= e["ts"] < n["ts"] + n["dur"] for n in notes)]  # fmt: skip
    timeline = read_trace([recorded])
    rows = timeline[timeline["op"] == "mla1"]
    assert (len(notes), len(rows)) == (3, len(inside))
    assert set(rows["kind"]) == {"attention"}
    assert sorted(set(rows["layer"])) == [0, 1, 2]
    assert {"attention", "dense_ffn", "experts"} <= set(timeline["kind"])
