import json

import numpy as np
import pandas as pd
import pytest

from simulator.report.timeline_file import write_trace
from simulator.timeline import TIMELINE_COLUMNS


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def events(path, phase):
    return [event for event in read(path)["traceEvents"] if event["ph"] == phase]


@pytest.fixture
def trace(timeline, tmp_path):
    path = tmp_path / "trace.json"
    write_trace(timeline, path, name="sbo")
    return path


def test_the_trace_holds_the_whole_table_exactly(timeline, trace):
    threads = {(event["pid"], event["tid"]): event["args"]["name"] for event in events(trace, "M")
               if event["name"] == "thread_name"}  # fmt: skip
    rows = [
        {"device": event["pid"], "stream": threads[event["pid"], event["tid"]], "op": event["name"]}
        | {key: value for key, value in event["args"].items() if key != "wait_us"}
        | {"wait_s": event["args"]["wait_us"] / 1e6}
        for event in events(trace, "X")
    ]
    read_back = pd.DataFrame(rows)[list(TIMELINE_COLUMNS)]
    pd.testing.assert_frame_equal(read_back.drop(columns="wait_s"), timeline.drop(columns="wait_s"), check_exact=True)
    assert read_back["wait_s"].to_numpy() == pytest.approx(timeline["wait_s"].to_numpy(), rel=1e-15)


def test_times_are_microseconds_to_the_nanosecond(timeline, trace):
    complete = events(trace, "X")
    # half a nanosecond: the file's own resolution
    assert [event["ts"] for event in complete] == pytest.approx((timeline["start_s"] * 1e6).tolist(), abs=0.6e-3)
    ends = [event["ts"] + event["dur"] for event in complete]
    assert ends == pytest.approx((timeline["end_s"] * 1e6).tolist(), abs=0.6e-3)


def test_no_event_overlaps_the_next_on_its_thread_even_when_a_reader_truncates(trace):
    lanes = {}
    for event in events(trace, "X"):
        start_ns, length_ns = int(event["ts"] * 1000), int(event["dur"] * 1000)
        assert start_ns >= lanes.get((event["pid"], event["tid"]), 0)
        lanes[event["pid"], event["tid"]] = start_ns + length_ns


def test_a_process_is_a_device_and_says_how_many_it_stands_for(trace):
    names = {event["pid"]: event["args"]["name"] for event in events(trace, "M") if event["name"] == "process_name"}
    assert names == {0: "device 0 (×90 alike)", 5: "device 5", 17: "device 17 (×37 alike)"}


def test_the_category_is_the_kind(timeline, trace):
    assert [event["cat"] for event in events(trace, "X")] == timeline["kind"].tolist()


def test_the_name_of_the_run_stands_in_the_file(trace):
    assert read(trace)["otherData"] == {"name": "sbo"}


def enclosing(event, complete):
    """The op that `event` is bound to: the last to start among those of its thread that hold its time."""
    holding = [op for op in complete if (op["pid"], op["tid"]) == (event["pid"], event["tid"])
               and op["ts"] <= event["ts"] < op["ts"] + op["dur"]]  # fmt: skip
    return holding[-1]


def test_every_receive_has_a_flow_from_the_sender_that_ends_last(make_timeline, tmp_path):
    path = tmp_path / "trace.json"
    write_trace(make_timeline({0: (1.0, 3), 3: (1.25, 1)}, n_layers=2), path, name="two classes")
    complete, starts, ends = events(path, "X"), events(path, "s"), events(path, "f")
    arrows = [(enclosing(start, complete), enclosing(end, complete)) for start, end in zip(starts, ends, strict=True)]
    assert [start["id"] for start in starts] == [end["id"] for end in ends]
    assert all(start["ts"] <= end["ts"] for start, end in zip(starts, ends, strict=True))
    assert [
        (sender["name"], sender["pid"], receiver["name"], receiver["pid"], receiver["args"]["layer"])
        for sender, receiver in arrows
    ] == [
        (f"{kind}.issue", 3, f"{kind}.receive", device, layer)
        for layer in (0, 1)
        for kind in ("combine", "dispatch")
        for device in (0, 3)
    ]


def small_timeline(*ops):
    defaults = {"device": 0, "rank": 0, "stream": "comm", "kind": "dispatch", "layer": 0, "wait_s": 0.0, "flops": 0.0,
                "bytes": 1.0, "tier": "nic", "n_alike": 1, "source": "assumed", "extrapolated": False}  # fmt: skip
    rows = [
        defaults | {"op_id": op_id, "start_s": op_id * 1e-6, "end_s": (op_id + 1) * 1e-6} | op
        for op_id, op in enumerate(ops)
    ]
    return pd.DataFrame(rows)


def test_the_flows_of_two_half_batches_stay_apart(tmp_path):
    path = tmp_path / "trace.json"
    phases = ("dispatch.issue@a", "dispatch.issue@b", "dispatch.receive@a", "dispatch.receive@b")
    write_trace(small_timeline(*({"op": phase} for phase in phases)), path, name="tbo")
    complete = events(path, "X")
    pairs = [(enclosing(start, complete)["name"], enclosing(end, complete)["name"])
             for start, end in zip(events(path, "s"), events(path, "f"), strict=True)]  # fmt: skip
    assert pairs == [("dispatch.issue@a", "dispatch.receive@a"), ("dispatch.issue@b", "dispatch.receive@b")]


def test_an_all_to_all_in_one_op_flows_to_the_other_devices_only(tmp_path):
    path = tmp_path / "trace.json"
    ops = ({"op": "dispatch"}, {"op": "dispatch", "device": 1, "rank": 1})
    write_trace(small_timeline(*ops), path, name="one op")
    assert [(start["pid"], end["pid"]) for start, end in zip(events(path, "s"), events(path, "f"), strict=True)] == [
        (1, 0)
    ]


def test_further_columns_become_arguments(tmp_path):
    path = tmp_path / "trace.json"
    timeline = small_timeline({"op": "dispatch", "shape": {"m": np.int64(96)}, "note": float("nan")})
    write_trace(timeline, path, name="shapes")
    (event,) = events(path, "X")
    assert event["args"]["shape"] == {"m": 96}
    assert event["args"]["note"] is None


def test_an_unwritable_path_raises_and_leaves_nothing(timeline, tmp_path):
    with pytest.raises(OSError, match="absent"):
        write_trace(timeline, tmp_path / "absent" / "trace.json", name="nowhere")
    assert list(tmp_path.iterdir()) == []
