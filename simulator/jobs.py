"""Questions answered one by one or in worker processes that may die at any moment."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice

from simulator.processes import failure_words, interrupts_held_back, processes
from simulator.question import Question
from simulator.run_key import run_key
from simulator.stored_run import StoredRun, run_question

AHEAD = 2  # jobs per worker that are handed out: one that runs, one that waits for it


@dataclass(frozen=True, kw_only=True)
class Job:
    """A question and the key under which whoever asks knows it."""

    key: str
    question: Question


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job: its run, or the `failure` that kept it from one (a defect, or a process that died)."""

    job: Job
    run: StoredRun | None = None
    failure: str = ""


Outcomes = Generator[Outcome, None, None]
Solve = Callable[[Iterator[Job]], Outcomes]


def do_job(job: Job) -> Outcome:
    """Return what becomes of a job here. Code or files that are not those of whoever asks are a failure; so is whatever
    goes wrong: one job must not end the others."""
    try:
        if run_key(job.question) != job.key:
            return Outcome(job=job, failure="failed: this worker's longsim, or its files, differ from the driver's")
        return Outcome(job=job, run=run_question(job.question, job.key))
    except Exception as error:
        return Outcome(job=job, failure=failure_words(error))


def one_by_one(jobs: Iterator[Job]) -> Outcomes:
    """Yield the outcome of each job, done in this process."""
    yield from map(do_job, jobs)


def in_processes(jobs: Iterator[Job], n_workers: int) -> Outcomes:
    """Yield the outcomes of all jobs, as they come, done in processes of this machine; few jobs are taken ahead.

    Where a process dies, every job that was handed out is done again, one at a time: one that kills its process again
    is a failure, and keeps no other from its run.
    """
    died = True
    while died:
        lost: list[Job] = []
        yield from _until_one_dies(jobs, lost, n_workers=n_workers, ahead=AHEAD)
        died = bool(lost)
        yield from _alone(iter(lost))


def _alone(jobs: Iterator[Job]) -> Iterator[Outcome]:
    """Yield the outcomes of jobs that run one at a time: of one whose process dies, that it does."""
    died = True
    while died:
        lost: list[Job] = []
        yield from _until_one_dies(jobs, lost, n_workers=1, ahead=1)
        died = bool(lost)
        for job in lost:
            yield Outcome(job=job, failure="failed: its process died twice, killed or out of memory")


def _until_one_dies(jobs: Iterator[Job], lost: list[Job], *, n_workers: int, ahead: int) -> Iterator[Outcome]:
    """Yield outcomes until there is no job, or a process has died: then `lost` gets the jobs without an outcome."""
    with processes(n_workers) as pool:
        at_work: dict[Future[Outcome], Job] = {}
        while True:
            if not lost:
                _hand_out(pool, jobs, at_work, lost, up_to=ahead * n_workers)
            if not at_work:
                return
            for future in wait(at_work, return_when=FIRST_COMPLETED).done:
                job, error = at_work.pop(future), future.exception()
                if isinstance(error, BrokenProcessPool):
                    lost.append(job)
                else:
                    yield Outcome(job=job, failure=failure_words(error)) if error else future.result()


def _hand_out(
    pool: ProcessPoolExecutor, jobs: Iterator[Job], at_work: dict[Future[Outcome], Job], lost: list[Job], *, up_to: int
) -> None:
    for job in islice(jobs, up_to - len(at_work)):
        try:
            with interrupts_held_back():
                at_work[pool.submit(do_job, job)] = job
        except BrokenProcessPool:
            lost.append(job)
            return
