"""Worker processes of this machine: started clean, deaf to Ctrl-C, and gone when the process that started them is."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait


def n_processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def processes(n_workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes; at the end what has not begun is dropped, and what has is waited for.

    They are spawned, not forked: a process with threads (a progress bar has one) may not be copied.
    """
    pool = ProcessPoolExecutor(n_workers, mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """End this process as soon as its parent is no more: nobody would take its results."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal: those started in here never see it, this one sees it afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def failure_words(error: BaseException) -> str:
    """Return one line that says what went wrong."""
    return f"failed: {type(error).__name__}: {error}".replace("\n", "; ").rstrip(": ")
