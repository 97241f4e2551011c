"""How the bytes of an emulated dispatch travel: by a sleeping thread, by the copy engines over PCIe, by some SMs."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch

from validation.measure.sm_copy import sm_copy

Arrive = Callable[[], object]  # waits until what was sent is there
Carry = Callable[[int], Arrive]  # starts sending so many bytes


def at_once(_n_bytes: int) -> Arrive:
    """Send nothing."""
    return lambda: None


def asleep(bytes_per_s: float) -> Carry:
    """Return a link of `bytes_per_s` that takes one transfer after the other: a thread that sleeps meanwhile."""
    link = ThreadPoolExecutor(max_workers=1, thread_name_prefix="link")
    return lambda n_bytes: link.submit(time.sleep, n_bytes / bytes_per_s).result


def by_copy_engines(device: torch.device) -> Carry:
    """Return the transfer of as many bytes to pinned host memory and from it at once: a rank sends and receives."""
    here, there = _Room(device), _Room(torch.device("cpu"))
    landed, waiting = _Room(device), _Room(torch.device("cpu"))
    return _on_streams(
        device,
        lambda n_bytes: there.first(n_bytes).copy_(here.first(n_bytes), non_blocking=True),
        lambda n_bytes: landed.first(n_bytes).copy_(waiting.first(n_bytes), non_blocking=True),
    )


def by_sms(device: torch.device, n_sms: int) -> Carry:
    """Return the transfer of bytes within the memory of `device` by a kernel that holds `n_sms` SMs.

    Raises NotHereError where that kernel cannot run.
    """
    here, there = _Room(device), _Room(device)
    sm_copy(here.first(1), there.first(1), n_sms)
    return _on_streams(device, lambda n_bytes: sm_copy(here.first(n_bytes), there.first(n_bytes), n_sms)())


class _Room:
    """Memory that grows to the largest transfer; pinned on a host."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._bytes = device, torch.empty(0, dtype=torch.uint8)

    def first(self, n_bytes: int) -> torch.Tensor:
        """Return `n_bytes` of it."""
        if len(self._bytes) < n_bytes:
            is_host = self._device.type == "cpu"
            self._bytes = torch.zeros(n_bytes, dtype=torch.uint8, device=self._device, pin_memory=is_host)
        return self._bytes[:n_bytes]


def _on_streams(device: torch.device, *moves: Callable[[int], object]) -> Carry:
    """Return the carry that does all `moves` at once, each on a stream of its own, after what the caller issued."""
    streams: list[torch.cuda.Stream] = [torch.cuda.Stream(device) for _ in moves]  # type: ignore[no-untyped-call]

    def carry(n_bytes: int) -> Arrive:
        ready = torch.cuda.current_stream(device).record_event()
        done = []
        for stream, move in zip(streams, moves, strict=True):
            with torch.cuda.stream(stream):
                stream.wait_event(ready)
                move(n_bytes)
                done.append(stream.record_event())
        return partial(_await, device, done)

    return carry


def _await(device: torch.device, done: list[torch.cuda.Event]) -> None:
    for each in done:
        torch.cuda.current_stream(device).wait_event(each)
