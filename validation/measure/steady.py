"""Work that is timed beside a load which is kept going throughout: started, warm, then the timing, then stopped."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from validation.measure.timing import Stopwatch, Work, event

DEPTH = 2  # calls queued ahead on a GPU: it never waits for the thread, and stops soon


def as_it_is(*, stop: bool) -> bool:
    """Return `stop`: a load of one rank stops when it is told to."""
    return stop


class Steady:
    """A load beside the caller's work, on a thread and on CUDA a stream of its own, while within a `with`.

    Entering returns once one call of the load is through. `agree`: whether to stop, asked after every call;
    ranks that share a load stop after the same call. What the load raises is raised on leaving.
    """

    def __init__(self, work: Work, device: torch.device, agree: Callable[..., bool] = as_it_is) -> None:
        self._work, self._agree = work, agree
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._asked, self._is_warm = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._n_calls, self._seconds = 0, 0.0

    @property
    def call_s(self) -> float:
        """Mean seconds of one call of the load so far [s], 0 where it never ran."""
        return self._seconds / self._n_calls if self._n_calls else 0.0

    def __enter__(self) -> "Steady":
        self._asked.clear()
        self._is_warm.clear()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()
        self._is_warm.wait()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._thread is not None, "left before entered"
        self._asked.set()
        self._thread.join()
        error, self._error = self._error, None
        if error:
            raise error

    def _run(self) -> None:
        try:
            with torch.inference_mode(), self._on_stream():
                self._keep_going()
        except BaseException as error:
            self._error = error  # the caller's, who waits for it
        finally:
            self._is_warm.set()

    def _keep_going(self) -> None:
        start_s, n_calls, pending = time.perf_counter(), 0, deque[torch.cuda.Event]()
        stop = False
        while not stop:
            self._work()
            n_calls += 1
            if self._stream:
                pending.append(event())
                pending[-1].record(self._stream)
                if len(pending) > DEPTH:
                    pending.popleft().synchronize()
            if n_calls > len(pending):  # one is through
                self._is_warm.set()
            stop = self._agree(stop=self._asked.is_set())
        if self._stream:
            self._stream.synchronize()
        self._seconds += time.perf_counter() - start_s
        self._n_calls += n_calls

    def _on_stream(self) -> AbstractContextManager[object]:
        return torch.cuda.stream(self._stream) if self._stream else nullcontext()


@dataclass(frozen=True)
class Beside:
    """`work` that is timed while `load` runs."""

    work: Work
    load: Steady

    def __call__(self) -> object:
        """Do the work."""
        return self.work()


def beside_stopwatch(own: Stopwatch) -> Stopwatch:
    """Return a stopwatch that keeps the load of a `Beside` going around the seconds that `own` tells of its work."""

    def seconds(work: Work, n_calls: int) -> float:
        if not isinstance(work, Beside):
            return own(work, n_calls)
        with work.load:
            return own(work.work, n_calls)

    return seconds
