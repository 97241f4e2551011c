"""Products beside transfers: the load runs throughout the timing, and both sides are measured, alone and beside."""

import threading
import time

import pytest

torch = pytest.importorskip("torch", reason="measuring needs torch")

from validation.measure import sm_copy
from validation.measure.case import NotHereError
from validation.measure.command import Options, measure
from validation.measure.steady import Beside, Steady, beside_stopwatch
from validation.measurements import read_measurements, read_meta

torch.set_num_threads(1)
CPU = torch.device("cpu")


def test_a_load_runs_while_work_is_timed_and_never_else():
    is_running = threading.Event()

    def load():
        is_running.set()
        time.sleep(1e-4)
        is_running.clear()

    seen = []
    steady = Steady(load, CPU)

    def own(work, n_calls):
        seen.append((is_running.wait(timeout=5), steady._thread.is_alive()))
        work()
        return 2.0 * n_calls

    watch = beside_stopwatch(own)
    assert watch(Beside(lambda: None, steady), 3) == 6.0
    assert seen == [(True, True)]
    assert not steady._thread.is_alive()
    assert 1e-4 < steady.call_s < 1.0


def test_work_without_a_load_is_timed_as_ever():
    assert beside_stopwatch(lambda _work, n_calls: 1.0 * n_calls)(lambda: None, 4) == 4.0


def test_a_load_stops_only_when_all_agree():
    n_asked = []

    def agree(*, stop):
        n_asked.append(stop)
        return n_asked.count(True) == 3  # the other rank wants two calls more

    with Steady(lambda: time.sleep(1e-4), CPU, agree):
        pass
    assert n_asked.count(True) == 3


def test_what_a_load_raises_is_raised_on_leaving():
    def fail():
        raise RuntimeError("a rank is gone")

    with pytest.raises(RuntimeError, match="a rank is gone"), Steady(fail, CPU):
        pass


@pytest.fixture
def rows(tmp_path, small, monkeypatch):
    monkeypatch.setattr("validation.measure.command.SAMPLE_S", {})
    assert measure(Options(out=tmp_path, model="tiny", share=1.0, suite="interference"), lambda _: None) == 0
    return read_measurements(tmp_path)


def test_every_pair_is_seen_from_both_sides(rows):
    assert [row.op for row in rows] == [
        *("gemm_beside.copy_engine", "copy_engine_beside.gemm") * 2,
        *("gemm_beside.bandwidth", "bandwidth_beside.gemm") * 2,
    ]
    assert {row.kernel for row in rows} == {"interference"}
    assert {(row.shape["n"], row.shape["k"]) for row in rows} == {(256, 64), (64, 128)}  # gate and up, down


def test_a_row_tells_the_time_alone_and_the_pace_of_the_load(rows):
    for row in rows:
        assert row.outcome["alone_s"] > 0
        assert row.outcome["partner_s"] > 0
        assert row.shape["partner_bytes"] == 64
        assert (row.flops is None) == (row.moved_bytes is not None)


@pytest.mark.usefixtures("rows")
def test_what_needs_a_gpu_is_skipped_with_its_reason(tmp_path):
    lines = read_meta(tmp_path)["skipped"]
    assert len(lines) == 4
    assert all("sm_copy" in line and line.endswith(": needs CUDA") for line in lines)


def test_the_copy_on_sms_says_what_it_lacks(monkeypatch):
    monkeypatch.setattr(sm_copy, "triton", None)
    assert sm_copy.missing(torch.device("cuda")) == "needs triton"
    with pytest.raises(NotHereError, match="needs CUDA"):
        sm_copy.sm_copy(torch.zeros(1), torch.zeros(1), 4)
