import os
import signal
import sqlite3
import time
from multiprocessing import active_children

import pytest
from store_cases import FEW, MANY, n_runs, rows_of, vary_words, wait_for

from hw_profiles.faults import InputFaults
from simulator.jobs import Job, do_job, in_processes, one_by_one
from simulator.question import load_question
from simulator.run_key import run_key
from simulator.store import open_store
from simulator.sweep_runs import Tally, check_axes
from simulator.sweep_watch import progress_words


def test_every_combination_is_a_row_in_order(sweep_of, stored, tmp_path):
    sweep = sweep_of(FEW)
    tally = stored(sweep)
    assert (tally.computed, tally.stored, tally.refused) == (4, 0, 0)
    chosen = [row[0] for row in rows_of(tmp_path / "runs.sqlite", sweep)]
    assert chosen == [{"schedule": s, "batch.context_tokens": n} for s in FEW["schedule"] for n in ("100", "200")]


def test_nothing_is_computed_twice_by_whatever_sweep(sweep_of, stored):
    stored(sweep_of(FEW))
    wider = sweep_of({"batch.context_tokens": ["100", "200", "300"], "schedule": ["sbo", "sequential"]})
    assert (tally := stored(wider)).computed == 2
    assert tally.stored == 4


def test_two_combinations_that_are_one_question_are_one_run(sweep_of, stored, tmp_path):
    sweep = sweep_of({"batch.context_tokens": ["100", "100.0"]})
    tally = stored(sweep)
    assert (tally.computed, tally.stored) == (1, 1)
    keys = [row[1] for row in rows_of(tmp_path / "runs.sqlite", sweep)]
    assert keys[0] == keys[1]


def test_what_is_no_scenario_is_a_row_with_its_reason(sweep_of, stored, tmp_path):
    sweep = sweep_of({"layout.ep": ["8", "3"]})
    assert stored(sweep).refused == 1
    with open_store(tmp_path / "runs.sqlite", reads_only=True) as store:
        reasons = [member.reason for member, _ in store.members(sweep.name)]
    assert reasons[0] == ""
    assert reasons[1].startswith("layout.ep: got 3")


@pytest.mark.parametrize("axes", [{"layout.epp": ["8"]}, {"seed": ["1", "x"]}, {"schedule": ["sbo", "sbi"]}])
def test_keys_and_words_that_are_none_are_faults_before_anything_runs(sweep_of, axes):
    with pytest.raises(InputFaults):
        check_axes(sweep_of(axes))


def test_a_sweep_that_is_stopped_and_resumed_gives_the_same_table(sweep_of, stored, tmp_path):
    sweep = sweep_of(FEW)
    stored(sweep, "whole.sqlite")
    assert stored(sweep, "parts.sqlite", watch=lambda tally: tally.computed < 2).computed == 2
    assert stored(sweep, "parts.sqlite").computed == 2
    assert rows_of(tmp_path / "parts.sqlite", sweep) == rows_of(tmp_path / "whole.sqlite", sweep)


def test_a_failure_is_not_stored_and_tried_again(sweep_of, stored):
    def failing(jobs):
        for n, job in enumerate(jobs):
            broken = Job(key=job.key if n else "another key", question=job.question)
            yield do_job(broken)

    tally = stored(sweep_of(FEW), solve=failing)
    assert tally.computed == 3
    assert list(tally.failures.values()) == ["failed: this worker's longsim, or its files, differ from the driver's"]
    assert stored(sweep_of(FEW)).computed == 1


def test_replays_are_stored_as_steps_are(sweep_of, stored, tmp_path):
    traffic = {"requests": "poisson:4", "count": 5, "output": "fixed:4", "prompt": "fixed:32"}
    sweep = sweep_of({"traffic.rate_scale": ["1", "2"]}, traffic=traffic)
    assert stored(sweep).computed == 2
    metrics = [row[2] for row in rows_of(tmp_path / "runs.sqlite", sweep)]
    assert [m["n_done"] for m in metrics] == [5, 5]
    assert metrics[0]["elapsed_s"] > metrics[1]["elapsed_s"]


def test_the_words_of_progress():
    assert progress_words(Tally(n=10, stored=2), 1.0) == "2 of 10 runs (2 from the store)"
    assert progress_words(Tally(n=10, computed=4), 2.0) == "4 of 10 runs, 2 per second, 3 s left"


def jobs_of(small, n):
    for context in range(100, 100 + n):
        question = load_question(small, [f"batch.context_tokens={context}"])
        yield Job(key=run_key(question), question=question)


@pytest.mark.slow
def test_processes_of_their_own_give_the_same_runs(small):
    here, there = ({o.job.key: o.run for o in solve} for solve in (
        one_by_one(jobs_of(small, 3)), in_processes(jobs_of(small, 3), 2)))  # fmt: skip
    assert here == there


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_no_run(small):
    outcomes = in_processes(jobs_of(small, 12), 2)
    found = [next(outcomes)]
    active_children()[0].kill()
    found += outcomes
    assert [outcome.failure for outcome in found] == [""] * 12
    assert {outcome.job.key for outcome in found} == {job.key for job in jobs_of(small, 12)}


@pytest.mark.slow
def test_a_driver_that_is_killed_twice_and_resumed_gives_the_same_table(small, sweep_of, stored, started, tmp_path):
    """Killed as it begins and when half is there; its workers go with it."""
    sweep, path = sweep_of(MANY), tmp_path / "killed.sqlite"
    words = ["sweep", small, *vary_words(MANY), "--store", path, "--workers", "2", "--resume", "--json"]
    for enough in (1, sweep.n // 2):
        driver = started(*words)
        wait_for(lambda enough=enough: n_runs(path) >= enough, driver)
        driver.kill()
        driver.communicate()
        group_is_gone(driver.pid)
        assert n_runs(path) < sweep.n
    there = n_runs(path)
    last = started(*words)
    document, said = last.communicate()
    assert last.returncode == 0, said
    assert f"{sweep.n - there:,} runs computed, {there:,} there before" in said
    stored(sweep, "whole.sqlite")
    assert rows_of(path, sweep) == rows_of(tmp_path / "whole.sqlite", sweep)
    assert f'"sweep": "{sweep.name}"' in document


def group_is_gone(group, timeout_s=10.0):
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError("workers outlive their driver")


@pytest.mark.slow
def test_two_sweeps_at_once_on_a_new_store_leave_it_whole(small, sweep_of, stored, started, tmp_path):
    path = tmp_path / "both.sqlite"
    axes = [{"batch.context_tokens": [str(n) for n in range(a, a + 20)]} for a in (1000, 1010)]
    both = [started("sweep", small, *vary_words(one), "--store", path, "--workers", "1") for one in axes]
    for process in both:
        _, said = process.communicate()
        assert process.returncode == 0, said
    for one in axes:
        stored(sweep_of(one), "alone.sqlite")
        assert rows_of(path, sweep_of(one)) == rows_of(tmp_path / "alone.sqlite", sweep_of(one))
    assert n_runs(path) == 30
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.mark.slow
def test_an_interrupt_stores_what_is_under_way(small, sweep_of, started, tmp_path):
    path = tmp_path / "runs.sqlite"
    process = started("sweep", small, *vary_words(MANY), "--store", path, "--workers", "2")
    wait_for(lambda: n_runs(path) >= 3, process)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert "interrupted: what is under way is finished and stored" in said
    assert f"{n_runs(path):,} runs computed" in said
    assert n_runs(path) < sweep_of(MANY).n


def test_the_driver_says_how_to_go_on_where_a_sweep_has_begun(longsim, small, tmp_path):
    words = ["sweep", small, "--vary", "schedule=sequential,sbo", "--store", str(tmp_path / "r.sqlite")]
    assert longsim(*words).code == 0
    again = longsim(*words)
    assert again.code == 2
    assert "has begun" in again.err
    assert "--resume" in again.err
    assert longsim(*words, "--resume").code == 0


@pytest.mark.slow
def test_a_job_that_kills_every_process_is_a_failure_and_no_other_is(small):
    first, second, *others = jobs_of(small, 4)
    deadly = Job(key=second.key, question=Deadly())
    found = {o.job.key: o.failure for o in in_processes(iter([first, deadly, *others]), 2)}
    assert found == {
        first.key: "", deadly.key: "failed: its process died twice, killed or out of memory",
        **dict.fromkeys([job.key for job in others], ""),
    }  # fmt: skip


class Deadly:
    """Ends the process in which it is unpickled, as the kernel does when memory runs out."""

    def __reduce__(self):
        return os._exit, (9,)
