"""Sweeps on a real dask scheduler and its worker processes, started by dask's own commands."""

import os
import re
import subprocess
import sys

import pytest
from store_cases import FEW, MANY, ROOT, n_runs, rows_of, vary_words, wait_for

pytest.importorskip("distributed")

QUIET = {"DASK_DISTRIBUTED__DIAGNOSTICS__NVML": "False", "OMP_NUM_THREADS": "1"}


@pytest.fixture
def dask(tmp_path):
    """Start one of dask's commands; everything started is killed at the end."""
    running = []

    def start(command, *words):
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{command}", *words], stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, cwd=tmp_path, env={**os.environ, **QUIET, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def scheduler(dask):
    """The address of a scheduler."""
    process = dask("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    for line in process.stderr:
        if found := re.search(r"Scheduler at:\s+(tcp://\S+)", line):
            return found[1]
    raise AssertionError("the scheduler did not start")


def worker(dask, address):
    return dask("dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "60")


@pytest.mark.slow
def test_a_worker_that_is_killed_mid_sweep_costs_no_run(small, sweep_of, stored, started, dask, scheduler, tmp_path):
    sweep, path = sweep_of(MANY), tmp_path / "cluster.sqlite"
    workers = [worker(dask, scheduler) for _ in range(2)]
    driver = started("sweep", small, *vary_words(MANY), "--store", path, "--cluster", scheduler)
    wait_for(lambda: n_runs(path) >= 5, driver)
    workers[0].kill()
    assert n_runs(path) < sweep.n
    _, said = driver.communicate()
    assert driver.returncode == 0, said
    assert f"{sweep.n:,} runs computed" in said
    stored(sweep, "here.sqlite")
    assert rows_of(path, sweep) == rows_of(tmp_path / "here.sqlite", sweep)


def test_a_scheduler_that_is_not_there_is_said_so(longsim, small, monkeypatch, tmp_path):
    monkeypatch.setattr("simulator.cluster._PATIENCE_S", 0.2)
    words = ["sweep", small, *vary_words(FEW), "--store", str(tmp_path / "r.sqlite")]
    said = longsim(*words, "--cluster", "tcp://127.0.0.1:9")
    assert said.code == 2
    assert "--cluster: got 'tcp://127.0.0.1:9', where no scheduler answers" in said.err
    assert "dask scheduler" in said.err
