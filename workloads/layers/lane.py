"""A second in-order lane of work beside the caller's: a thread, and on CUDA a stream of its own."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Self, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")


class Lane:
    """Runs what it is given, in order, while the caller goes on. Close it, or use it in a `with`.

    Work starts after everything that the caller had issued; `join` makes the caller wait for the result, on CUDA in
    the order of streams. The thread keeps the lane's host waits (counts of an all-to-all) off the caller's.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lane")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for the lane's work and end its thread."""
        self._executor.shutdown()

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Start `work`, with gradients recorded as the caller has it."""
        ready = torch.cuda.current_stream(self._device).record_event() if self._stream else None
        is_grad_enabled = torch.is_grad_enabled()

        def run() -> Result:
            with torch.set_grad_enabled(is_grad_enabled), self._on_stream():
                if self._stream and ready:
                    self._stream.wait_event(ready)
                return work()

        return self._executor.submit(run)

    def join(self, future: Future[Result]) -> Result:
        """Return what `future` returned, its work done or, on CUDA, before whatever the caller issues next."""
        result = future.result()
        if self._stream:
            torch.cuda.current_stream(self._device).wait_stream(self._stream)
        return result

    def _on_stream(self) -> AbstractContextManager[object]:
        return torch.cuda.stream(self._stream) if self._stream else nullcontext()


def used_here(*tensors: Tensor) -> None:
    """Keep the memory of `tensors` until the current stream is through with it, whichever stream allocated it."""
    for tensor in tensors:
        if tensor.is_cuda:
            tensor.record_stream(torch.cuda.current_stream(tensor.device))
