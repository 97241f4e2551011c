"""Ranks as processes: what they are told, how they end, and that none is left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from validation.live.processes import Launch, RankFailedError, cores_of, run_ranks

SLEEP = "import time; time.sleep(60)"
TOLD = "import json, os; print(json.dumps({**os.environ, 'cores': sorted(os.sched_getaffinity(0))}))"
NO_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def launch(folder, program, n_ranks=2, timeout_s=30.0, **more):
    return Launch(
        command=[sys.executable, "-c", program], n_ranks=n_ranks, folder=folder, timeout_s=timeout_s, **more
    )  # fmt: skip


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(happened):
    until = time.monotonic() + 10.0
    while not happened():
        assert time.monotonic() < until, "it did not happen within 10 s"
        time.sleep(0.02)


def with_pid(folder, program):
    """`program`, after it has left its process number in `folder`."""
    return f"import os; open({str(folder)!r} + '/pid' + os.environ['RANK'], 'w').write(str(os.getpid())); {program}"


def pids(folder):
    return [int(text) for file in sorted(folder.glob("pid*")) if (text := file.read_text())]


@NO_LINUX
def test_every_rank_is_told_who_it_is_and_where_the_others_are(tmp_path):
    run_ranks(launch(tmp_path, TOLD, environment={"OWN": "word"}))
    told = [json.loads((tmp_path / f"rank{rank}.log").read_text()) for rank in range(2)]
    assert [(t["RANK"], t["LOCAL_RANK"], t["WORLD_SIZE"]) for t in told] == [("0", "0", "2"), ("1", "1", "2")]
    assert told[0]["MASTER_PORT"] == told[1]["MASTER_PORT"]
    assert {key: told[1][key] for key in ("MASTER_ADDR", "GLOO_SOCKET_IFNAME", "OMP_NUM_THREADS", "OWN")} == {
        "MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "OWN": "word"
    }  # fmt: skip


@NO_LINUX
@pytest.mark.parametrize("pinned", [True, False])
def test_a_pinned_rank_keeps_to_its_cores_and_another_takes_all(tmp_path, pinned):
    usable = os.sched_getaffinity(0)
    run_ranks(launch(tmp_path, TOLD, pinned=pinned))
    cores = [json.loads((tmp_path / f"rank{rank}.log").read_text())["cores"] for rank in range(2)]
    assert cores == [sorted(cores_of(rank, 2) if pinned else usable) for rank in range(2)]
    assert os.sched_getaffinity(0) == usable


def test_cores_are_dealt_out_evenly_and_shared_where_there_are_too_few(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3, 6, 7}, raising=False)
    assert [cores_of(rank, 2) for rank in range(2)] == [{2, 3}, {6, 7}]
    assert [cores_of(rank, 5) for rank in range(5)] == [{2}, {3}, {6}, {7}, {2}]


def test_a_rank_that_fails_is_named_with_its_last_words_and_ends_the_others(tmp_path):
    program = f"rank = os.environ['RANK']; rank == '1' and exit('out of cheese'); {SLEEP}"
    with pytest.raises(RankFailedError, match=r"^rank 1 ended with exit code 1: out of cheese$"):
        run_ranks(launch(tmp_path, with_pid(tmp_path, program)))
    assert not any(is_running(pid) for pid in pids(tmp_path))


def test_a_full_disk_is_named_where_the_rank_itself_cannot_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=0))
    with pytest.raises(RankFailedError, match=r"^rank 0 ended with exit code 1, no space left in .*: it said nothing$"):
        run_ranks(launch(tmp_path, "exit(1)", n_ranks=1))


def test_a_rank_that_is_killed_is_said_to_be(tmp_path):
    with pytest.raises(RankFailedError, match=r"^rank 0 was killed by signal 9 .*: it said nothing$"):
        run_ranks(launch(tmp_path, "import os; os.kill(os.getpid(), 9)", n_ranks=1))


def test_ranks_that_hang_are_ended_when_time_is_up(tmp_path):
    started = time.monotonic()
    with pytest.raises(RankFailedError, match=r"^ranks \[0, 1\] did not end within 1 s"):
        run_ranks(launch(tmp_path, with_pid(tmp_path, SLEEP), timeout_s=1.0))
    assert time.monotonic() - started < 10.0  # they sleep for 60
    assert len(pids(tmp_path)) == 2
    assert not any(is_running(pid) for pid in pids(tmp_path))


@NO_LINUX
def test_what_a_rank_has_started_ends_with_it(tmp_path):
    child = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])"
    program = f"{child}; open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid)); {SLEEP}"
    with pytest.raises(RankFailedError):
        run_ranks(launch(tmp_path, program, n_ranks=1, timeout_s=1.5))
    (child_pid,) = pids(tmp_path)
    wait_until(lambda: not running_stat(child_pid))


def running_stat(pid):
    """Line of a process in /proc; nothing for one that is gone or only waits to be buried (state Z)."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 (may vanish in between)
            line = stat.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if ") Z " in line else line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_leave_no_rank(tmp_path, number):
    program = (
        "import sys; from pathlib import Path; from validation.live.processes import Launch, run_ranks; "
        f"run_ranks(Launch(command=[sys.executable, '-c', {with_pid(tmp_path, SLEEP)!r}], n_ranks=2, "
        f"folder=Path({str(tmp_path)!r}), timeout_s=60))"
    )
    outer = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(pids(tmp_path)) == 2)
    outer.send_signal(number)
    _, said = outer.communicate(timeout=10)
    assert "KeyboardInterrupt" in said
    assert not any(is_running(pid) for pid in pids(tmp_path))
