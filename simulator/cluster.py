"""Jobs done by the workers of a dask scheduler, wherever they are."""

import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from itertools import islice

from distributed import Client, Future, as_completed
from distributed.comm.core import CommClosedError

from hw_profiles.faults import Fault, InputFaults
from simulator.jobs import AHEAD, Job, Outcome, Outcomes, do_job
from simulator.processes import failure_words

_PATIENCE_S = 30.0  # until a scheduler answers, and until it has a first worker
_LOOK_EVERY_S = 5.0  # for workers that have come or gone
Answering = Future[Outcome]
_TRIES = 3  # of a job whose worker died


def on_cluster(jobs: Iterator[Job], address: str) -> Outcomes:
    """Yield the outcomes of all jobs, as they come, done by the workers of the scheduler at `address`; few jobs are
    taken ahead. A job whose worker dies is done again by another.

    InputFaults where no scheduler answers, or it has no worker, now or later.
    """
    client = _client(address)
    try:
        yield from _outcomes(client, jobs, address)
    finally:
        client.close()


def _client(address: str) -> Client:
    try:
        client = Client(address, timeout=_PATIENCE_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputFaults([_fault(address, f"where no scheduler answers ({error})")]) from error
    try:
        client.wait_for_workers(1, timeout=_PATIENCE_S)
    except TimeoutError as error:
        client.close()
        raise InputFaults([_fault(address, "a scheduler without workers")]) from error
    return client


def _outcomes(client: Client, jobs: Iterator[Job], address: str) -> Iterator[Outcome]:
    job_of: dict[object, Job] = {}

    def handed_out(n: int) -> list[Answering]:
        found = []
        for job in islice(jobs, n):
            future = client.submit(do_job, job, key=f"{job.key}-{time.monotonic_ns()}", retries=_TRIES, pure=False)
            job_of[future.key] = job
            found.append(future)
        return found

    places, looked_s = _places(client), time.monotonic()
    coming = as_completed(handed_out(places), loop=client.loop)
    for future in coming:
        job = job_of.pop(future.key)
        yield _outcome(future, job, address)
        future.release()
        if time.monotonic() - looked_s > _LOOK_EVERY_S:
            places, looked_s = _places(client), time.monotonic()
        coming.update(handed_out(max(0, places - len(job_of))))


def _places(client: Client) -> int:
    """How many jobs to hand out at a time."""
    threads: dict[str, int] = client.nthreads()
    return max(1, AHEAD * sum(threads.values()))


def _outcome(future: Answering, job: Job, address: str) -> Outcome:
    try:
        outcome: Outcome = future.result()
    except (CancelledError, CommClosedError, OSError) as error:
        raise InputFaults([_fault(address, f"which has gone ({failure_words(error)})")]) from error
    except Exception as error:
        return Outcome(job=job, failure=failure_words(error))
    return outcome


def _fault(address: str, state: str) -> Fault:
    return Fault(field="--cluster", got=f"{address!r}, {state}", allowed="the address of a dask scheduler with workers",
                 remedy="start them: dask scheduler; dask worker tcp://HOST:8786 --nthreads 1")  # fmt: skip
