"""Small sweeps: tiny steps of a few milliseconds, stored by this process or by one of its own."""

import os
import subprocess
import sys

import pytest
from store_cases import ROOT

from simulator.jobs import one_by_one
from simulator.store import open_store
from simulator.sweep_runs import Sweep, run_sweep

SMALL = 'model = "tiny"\nmachine = "h800_sxm"\nn_gpus = 8\nlayout = { ep = 8 }\nrun = { costs = "roofline" }\n'


def goes_on(_tally):
    return True


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return str(path)


@pytest.fixture
def sweep_of(small):
    def make(axes, settings=(), traffic=None):
        return Sweep(scenario=small, axes=axes, settings=settings, traffic=traffic)

    return make


@pytest.fixture
def stored(tmp_path):
    """Run a sweep in this process into a store of that name; give its tally."""

    def run(sweep, name="runs.sqlite", *, watch=goes_on, solve=one_by_one):
        with open_store(tmp_path / name) as store:
            return run_sweep(store, sweep, solve, watch)

    return run


@pytest.fixture
def started():
    """Start `longsim` with these words in a process group of its own; whatever still runs at the end is killed."""
    running = []

    def start(*words, **options):
        process = subprocess.Popen(
            [sys.executable, "-m", "longsim", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True, **options,
        )  # fmt: skip
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()
