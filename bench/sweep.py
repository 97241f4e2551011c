"""A sweep of 10,000 runs: what its store adds to the runs themselves, and the memory of the process that drives it.

`python bench/sweep.py N` is such a process alone: N small steps, computed and stored.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from process import peak_mb

from simulator.candidates import combinations
from simulator.evaluate import evaluate
from simulator.jobs import Job, Outcome, Outcomes, Solve, one_by_one
from simulator.store import open_store
from simulator.stored_run import StoredRun, run_question
from simulator.sweep_runs import Sweep, Tally, run_sweep

RUNS = 10_000
COMPUTED = 40  # of them, whose mean time stands for all
LOADED = 1000
LONGCAT = "longcat-flash-decode-h800x128"
SMALL = 'model = "tiny"\nmachine = "h800_sxm"\nn_gpus = 8\nlayout = { ep = 8 }\nrun = { costs = "roofline" }\n'


def goes_on(_tally: Tally) -> bool:
    """Never stop."""
    return True


def contexts(scenario: str, n: int) -> Sweep:
    """Return a sweep of `n` steps that differ in context."""
    return Sweep(scenario=scenario, axes={"batch.context_tokens": [str(1000 + at) for at in range(n)]})


def with_ready_answers(template: StoredRun) -> Solve:
    """Return what answers every job with the same run under its own key, at no cost."""

    def solve(jobs: Iterator[Job]) -> Outcomes:
        for job in jobs:
            yield Outcome(job=job, run=replace(template, key=job.key))

    return solve


def store_share() -> dict[str, float]:
    """Return the seconds that the store takes per run (keys, JSON, commits), beside those of the run itself;
    of processor time, so that other work on the machine does not count."""
    sweep = contexts(LONGCAT, RUNS)
    questions = [sweep.question(one) for one, _ in zip(combinations(sweep.axes), range(COMPUTED), strict=False)]
    template = run_question(questions[0], "")
    began_s = time.process_time()
    for question in questions:
        evaluate(question.scenario)
    run_s = (time.process_time() - began_s) / COMPUTED
    began_s = time.process_time()
    for _, combination in zip(range(LOADED), combinations(sweep.axes), strict=False):
        sweep.question(combination)
    load_s = (time.process_time() - began_s) / LOADED
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "runs.sqlite") as store:
        began_s = time.process_time()
        run_sweep(store, sweep, with_ready_answers(template), goes_on)
        driven_s = (time.process_time() - began_s) / RUNS
    return {
        "sweep.store_share": (driven_s - load_s) / (run_s + load_s),
        "sweep.store_ms_per_run": (driven_s - load_s) * 1e3,
        "sweep.run_ms": (run_s + load_s) * 1e3,
    }


def run_small(n: int) -> None:
    """Compute and store `n` small steps in this process."""
    with tempfile.TemporaryDirectory() as folder:
        scenario = Path(folder) / "small.toml"
        scenario.write_text(SMALL, encoding="utf-8")
        with open_store(Path(folder) / "runs.sqlite") as store:
            run_sweep(store, contexts(str(scenario), n), one_by_one, goes_on)


def measure() -> dict[str, float]:
    """Return the store's share, and how much more memory ten times the runs take."""
    few, many = (peak_mb([sys.executable, __file__, str(n)]) for n in (RUNS // 10, RUNS))
    return {**store_share(), "sweep.peak_mb": many, "sweep.peak_growth": many / few}


if __name__ == "__main__":
    run_small(int(sys.argv[1]))
