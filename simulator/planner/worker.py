"""One more process beside this one, where there is a processor for it: started early, there when needed."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")


class Worker:
    """Takes every second job off this process; all of them are done here where there is no other processor."""

    def __init__(self, pool: ProcessPoolExecutor | None) -> None:
        self._pool = pool

    def start(self, work: Callable[[JobT], ResultT], job: JobT) -> "Callable[[], ResultT]":
        """Begin `work(job)` elsewhere, or put it off; the function returned gives its result."""
        if self._pool is None:
            return lambda: work(job)
        future: Future[ResultT] = self._pool.submit(work, job)
        return future.result

    def all_of(self, work: Callable[[JobT], ResultT], jobs: Sequence[JobT]) -> list[ResultT]:
        """Return the results of all jobs, in their order."""
        waiting = {at: self.start(work, job) for at, job in enumerate(jobs) if at % 2 == 1}
        own = {at: work(job) for at, job in enumerate(jobs) if at % 2 == 0}
        return [own[at] if at in own else waiting[at]() for at in range(len(jobs))]


@contextmanager
def worker(n_workers: int | None = None) -> Iterator[Worker]:
    """A worker for as long as the block lasts. `n_workers`: processes in all (None: one more where two processors are
    there; below 2: none more)."""
    wanted = len(os.sched_getaffinity(0)) if n_workers is None else n_workers
    if wanted < 2:
        yield Worker(None)
        return
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    pool.submit(_ready)
    try:
        yield Worker(pool)
    finally:
        pool.shutdown(cancel_futures=True)


def _ready() -> None:
    """Nothing: the process imports this module and what stands above it."""
