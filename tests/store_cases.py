"""Helpers of tests of stores: sweeps in words, what a store holds."""

import time
from pathlib import Path

from hw_profiles.faults import InputFaults
from simulator.store import Condition, open_store

ROOT = Path(__file__).parents[1]
FEW = {"schedule": ["sequential", "sbo"], "batch.context_tokens": ["100", "200"]}
MANY = {"batch.context_tokens": [str(n) for n in range(1000, 1060)], "schedule": ["sequential", "sbo"]}


def vary_words(axes):
    return [word for key, values in axes.items() for word in ("--vary", f"{key}={','.join(values)}")]


def rows_of(path, sweep):
    """The table of a sweep: what each combination chose and what its run came to."""
    with open_store(path, reads_only=True) as store:
        return [(member.chosen, member.key, run and run.metrics) for member, run in store.members(sweep.name)]


def n_runs(path):
    """How many a store holds; none where it is still being made."""
    try:
        with open_store(path, reads_only=True) as store:
            return sum(1 for _ in store.runs())
    except InputFaults:
        return 0


def conditions(key, value):
    return [Condition(column="scenario", path=key.split("."), value=value)]


def wait_for(reached, process, timeout_s=120.0):
    until_s = time.monotonic() + timeout_s
    while not reached():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until_s
        time.sleep(0.01)
