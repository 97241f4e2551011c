"""A profiler trace becomes the timeline that a simulation gives, with the trace's own durations."""

import pandas as pd
import pytest

from hw_profiles.faults import InputFaults
from simulator.metrics import device_times, time_metrics
from simulator.timeline import TIMELINE_COLUMNS
from validation.traces.reader import read_trace
from validation.traces.steps import one_step, step_numbers, typical_step

US = 1e-6
HAIR_S = 1e-12  # rounding of binary fractions; times are compared to the picosecond


def event(cat, name, ts, dur, *, tid=1, pid=100, **args):
    named = {{"external": "External id", "n_bytes": "bytes"}.get(key, key): value for key, value in args.items()}
    return {"ph": "X", "cat": cat, "name": name, "pid": pid, "tid": tid, "ts": ts, "dur": dur, "args": named}


def operator(name, ts, dur, **rest):
    return event("cpu_op", name, ts, dur, **rest)


def note(name, ts, dur, **rest):
    return event("user_annotation", name, ts, dur, **rest)


def launch(ts, correlation, **rest):
    return event("cuda_runtime", "cudaLaunchKernel", ts, 2.0, correlation=correlation, **rest)


def kernel(name, ts, dur, *, stream=7, device=0, cat="kernel", **args):
    return event(cat, name, ts, dur, pid=device, tid=stream, device=device, stream=stream, **args)


METADATA = [
    {"ph": "M", "name": "process_name", "pid": 0, "tid": 0, "ts": 0.0, "args": {"name": "python"}},
    {"ph": "f", "cat": "ac2g", "name": "ac2g", "id": 1, "pid": 0, "tid": 7, "ts": 5.0, "bp": "e"},
    {"ph": "i", "s": "g", "name": "Record Window End", "pid": "Traces", "tid": "x", "ts": 9.0},
    {"ph": "X", "cat": "python_function", "name": "no times"},
]
GPU = [
    *METADATA,
    note("ProfilerStep#4", 0.0, 100.0),
    note("layer3", 1.0, 98.0),
    note("mla0.q_b", 10.0, 10.0), operator("aten::mm", 11.0, 8.0, external=1), launch(12.0, 1, external=1),
    note("dispatch", 20.0, 10.0), note("a helper", 21.0, 8.0), launch(22.0, 2),
    note("ffn0.down", 30.0, 10.0), launch(32.0, 3), launch(34.0, 4),
    kernel("sm90_gemm", 50.0, 20.25, correlation=1),
    kernel("ncclDevKernel_SendRecv", 60.0, 25.5, stream=20, correlation=2),
    kernel("ncclDevKernel_AllReduce", 70.25, 4.0, correlation=3),
    kernel("cutlass_gemm", 74.5, 8.0, correlation=4),
    kernel("Memcpy DtoD (Device -> Device)", 84.0, 6.0, cat="gpu_memcpy", n_bytes=4096),
    kernel("Memcpy HtoD (Pinned -> Device)", 86.0, 6.0, cat="gpu_memcpy", n_bytes=512),
    kernel("strange_kernel", 95.0, 1.0, external=1),
]  # fmt: skip


def seconds(rows):
    return (rows["end_s"] - rows["start_s"]).sum()


def words(timeline):
    return [tuple(row) for row in timeline[["stream", "op", "kind", "layer"]].astype({"layer": int}).to_numpy()]


def test_a_gpu_trace_has_the_columns_of_a_timeline_and_one_row_per_kernel_copy_and_fill(trace_file):
    timeline = read_trace([trace_file(GPU)])
    assert list(timeline.columns) == [*TIMELINE_COLUMNS, "step"]
    assert words(timeline) == [
        ("stream 7", "mla0.q_b", "attention", 3),
        ("stream 20", "dispatch", "dispatch", 3),
        ("stream 7", "ffn0.down", "dense_tp", 3),  # a collective inside a computing op stays communication
        ("stream 7", "ffn0.down", "dense_ffn", 3),
        ("stream 7", "Memcpy DtoD (Device -> Device)", "copy", -1),
        ("stream 7 (2)", "Memcpy HtoD (Pinned -> Device)", "copy", -1),  # overlaps the one before
        ("stream 7", "mla0.q_b", "attention", 3),  # no launch, but the operator is known
    ]
    assert timeline["step"].tolist() == [4, 4, 4, 4, -1, -1, 4]
    assert timeline["op_id"].tolist() == list(range(7))
    assert timeline["bytes"].tolist() == [0, 0, 0, 0, 4096, 512, 0]


def test_durations_are_the_trace_s_own_and_time_starts_with_the_first_row(trace_file):
    timeline = read_trace([trace_file(GPU)])
    assert timeline["start_s"].min() == 0
    assert seconds(timeline[timeline["stream"] == "stream 7"]) == pytest.approx(39.25 * US, abs=HAIR_S)
    assert seconds(timeline[timeline["stream"] == "stream 20"]) == pytest.approx(25.5 * US, abs=HAIR_S)
    assert timeline["end_s"].max() == pytest.approx((96.0 - 50.0) * US, abs=HAIR_S)


def test_exposed_communication_is_what_no_kernel_covers(trace_file):
    timeline = read_trace([trace_file(GPU)])
    (device,) = device_times(timeline).to_dict("records")
    assert device["comm_s"] == pytest.approx(25.5 * US, abs=HAIR_S)  # 60 to 85.5; the all-reduce lies inside
    # Computing until 70.25, from 74.5 to 82.5, and the copy from 84: 4.25 and 1.5 µs stand alone.
    assert device["exposed_comm_s"] == pytest.approx(5.75 * US, abs=HAIR_S)
    assert time_metrics(timeline, device_times(timeline))["busy_s"]["dispatch"] == pytest.approx(25.5 * US, abs=HAIR_S)


def test_an_operator_counts_once_with_all_that_it_calls(trace_file):
    events = [operator("aten::linear", 10.0, 30.0), operator("aten::t", 11.0, 2.0), operator("aten::addmm", 14.0, 25.0),
              operator("aten::copy_", 15.0, 3.0), operator("aten::silu", 40.0, 5.0),
              operator("aten::mm", 12.0, 7.0, tid=2)]  # fmt: skip
    timeline = read_trace([trace_file(events)])
    assert words(timeline) == [
        ("thread 1", "aten::linear", "gemm", -1),
        ("thread 2", "aten::mm", "gemm", -1),
        ("thread 1", "aten::silu", "elementwise", -1),
    ]
    assert seconds(timeline[timeline["stream"] == "thread 1"]) == pytest.approx(35.0 * US, abs=HAIR_S)


def test_the_innermost_annotation_wins_and_holds_until_its_end(trace_file):
    events = [note("layers.7", 0.0, 100.0), note("ffn0", 10.0, 50.0), note("ffn0.gate_up", 20.0, 10.0),
              operator("aten::a", 10.0, 2.0), operator("aten::b", 20.0, 5.0), operator("aten::c", 30.0, 5.0),
              operator("aten::d", 60.0, 5.0)]  # fmt: skip
    timeline = read_trace([trace_file(events)])
    assert timeline["op"].tolist() == ["ffn0", "ffn0.gate_up", "ffn0", "aten::d"]
    assert timeline["kind"].tolist() == ["dense_ffn", "dense_ffn", "dense_ffn", "other"]
    assert timeline["layer"].tolist() == [7, 7, 7, 7]


def test_a_collective_marked_by_its_process_group_runs_beside_its_thread(trace_file):
    events = [operator("aten::mm", 0.0, 10.0), note("gloo:all_to_all", 2.0, 20.0)]
    timeline = read_trace([trace_file(events)])
    assert words(timeline) == [
        ("thread 1", "aten::mm", "gemm", -1), ("thread 1 collectives", "gloo:all_to_all", "collective", -1),
    ]  # fmt: skip
    (device,) = device_times(timeline).to_dict("records")
    assert device["exposed_comm_s"] == pytest.approx(12.0 * US, abs=HAIR_S)


def test_a_gpu_s_own_annotation_speaks_where_no_launch_is_known(trace_file):
    events = [event("gpu_user_annotation", "experts", 10.0, 10.0, pid=0, tid=7), kernel("gemm", 12.0, 3.0)]
    assert words(read_trace([trace_file(events)])) == [("stream 7", "experts", "experts", -1)]


def test_events_without_arguments_are_read(trace_file):
    bare = {"ph": "X", "cat": "kernel", "name": "gemm", "pid": 2, "tid": 9, "ts": 1, "dur": 3}
    timeline = read_trace([trace_file([bare])])
    assert timeline[["device", "stream"]].to_numpy().tolist() == [[2, "stream 9"]]


def test_files_of_several_ranks_become_one_timeline_on_one_clock(trace_file):
    first = trace_file([kernel("gemm", 10.0, 5.0, device=0)], "b.json", distributedInfo={"rank": 1},
                       baseTimeNanoseconds=1_700_000_000_000_000_000)  # fmt: skip
    second = trace_file([kernel("gemm", 10.0, 5.0, device=0)], "a.json.gz", distributedInfo={"rank": 0},
                        baseTimeNanoseconds=1_700_000_000_000_002_000)  # fmt: skip
    timeline = read_trace([first, second])
    assert timeline["device"].tolist() == timeline["rank"].tolist() == [1, 0]
    assert timeline["start_s"].tolist() == pytest.approx([0.0, 2 * US], abs=HAIR_S)
    assert timeline["op_id"].tolist() == [0, 0]


def test_a_packed_trace_reads_like_a_plain_one(trace_file):
    plain, packed = (read_trace([trace_file(GPU, name)]) for name in ("trace.json", "trace.json.gz"))
    pd.testing.assert_frame_equal(plain, packed)


def test_a_trace_without_steps_has_no_typical_one(trace_file):
    with pytest.raises(InputFaults, match="--trace: got a trace that marks no profiler steps"):
        typical_step(read_trace([trace_file([operator("aten::mm", 1.0, 2.0)])]))


def test_a_step_stands_alone_from_its_first_row(trace_file):
    events = [e for n, dur in ((1, 9.0), (2, 3.0), (3, 5.0)) for e in (
        note(f"ProfilerStep#{n}", 100.0 * n, 50.0), operator("aten::mm", 100.0 * n + 10, dur))]  # fmt: skip
    timeline = read_trace([trace_file(events)])
    assert step_numbers(timeline) == [1, 2, 3]
    assert typical_step(timeline) == 3
    third = one_step(timeline, 3)
    assert third[["start_s", "end_s"]].to_numpy().tolist() == [pytest.approx([0.0, 5 * US], abs=HAIR_S)]
