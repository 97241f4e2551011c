"""Ranks of a distributed program as processes of this machine, each on cores of its own."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from validation.live.interrupts import sigterm_interrupts, undisturbed
from validation.live.links import Host

POLL_S = 0.05
# glibc hands large blocks back to the system and faults their pages in anew, in whole layers more often than in one
# kernel called again and again; so that both are measured alike, ranks keep what they have.
KEEPS_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}
LINES_SHOWN = 5
FULL_BYTES = 1 << 16  # with less room than this a rank can neither write nor say so

Rank = subprocess.Popen[bytes]


class RankFailedError(RuntimeError):
    """A rank ended badly, or none of them ended in time; the words say which and what it said last."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How to start ranks: one process each of `command`, in `hosts` where there are some; what they say goes to
    `folder`; `watch` is called while they run. `threads`: of one kernel;
    `pinned`: each rank keeps to cores of its own, so that ranks do not push each other from core to core."""

    command: Sequence[str]
    n_ranks: int
    folder: Path
    timeout_s: float
    hosts: Sequence[Host] = ()
    threads: int = 1
    pinned: bool = True
    environment: Mapping[str, str] | None = None
    watch: Callable[[], None] = lambda: None


def run_ranks(launch: Launch) -> None:
    """Run all ranks to their end; raises RankFailedError when some fail or time is up.

    Whatever ends it, Ctrl-C and SIGTERM too, no rank is left running, nor what a rank has started.
    """
    launch.folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    ranks: list[Rank] = []
    with sigterm_interrupts():
        try:
            for rank in range(launch.n_ranks):
                ranks.append(_start(launch, rank, port))  # one by one: a failing start ends those before it
            _wait(launch, ranks)
        finally:
            with undisturbed():
                for process in ranks:
                    _end(process)


def cores_of(rank: int, n_ranks: int) -> set[int]:
    """Return the cores of a rank: an equal part of those this process may use, shared where there are too few."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    each = max(1, len(usable) // n_ranks)
    return {usable[(rank * each + i) % len(usable)] for i in range(each)} if usable else set()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _start(launch: Launch, rank: int, port: int) -> Rank:
    host = launch.hosts[rank] if launch.hosts else None
    environment = {
        **os.environ, **(launch.environment or {}), "RANK": str(rank), "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(launch.n_ranks), "MASTER_PORT": str(port), "OMP_NUM_THREADS": str(launch.threads),
        **KEEPS_MEMORY,
        "MASTER_ADDR": launch.hosts[0].address if launch.hosts else "127.0.0.1",
        "GLOO_SOCKET_IFNAME": host.interface if host else "lo",
    }  # fmt: skip
    command = host.inside(launch.command) if host else list(launch.command)
    cores = cores_of(rank, launch.n_ranks) if launch.pinned else set()
    with _said(launch, rank).open("wb") as said, _keeping_to(cores) if cores else nullcontext():
        return subprocess.Popen(command, env=environment, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)


@contextmanager
def _keeping_to(cores: set[int]) -> Iterator[None]:
    """Keep to `cores` in the block: what starts in it inherits them before its first thread."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _end(process: Rank) -> None:
    """Kill a rank with all it started, where it still runs; a session of its own holds them together."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait(launch: Launch, ranks: Sequence[Rank]) -> None:
    until = time.monotonic() + launch.timeout_s
    while True:
        codes = [process.poll() for process in ranks]
        failed = [rank for rank, code in enumerate(codes) if code]
        if failed:
            raise RankFailedError("; ".join(_failure(launch, rank, codes[rank] or 0) for rank in failed))
        if all(code == 0 for code in codes):
            return
        if time.monotonic() > until:
            left = [rank for rank, code in enumerate(codes) if code is None]
            raise RankFailedError(f"ranks {left} did not end within {launch.timeout_s:g} s: {_last(launch, left[0])}")
        launch.watch()
        time.sleep(POLL_S)


def _failure(launch: Launch, rank: int, code: int) -> str:
    how = f"ended with exit code {code}" if code > 0 else f"was killed by signal {-code} ({signal.strsignal(-code)})"
    full = f", no space left in {launch.folder}" if shutil.disk_usage(launch.folder).free < FULL_BYTES else ""
    return f"rank {rank} {how}{full}: {_last(launch, rank)}"


def _said(launch: Launch, rank: int) -> Path:
    return launch.folder / f"rank{rank}.log"


def _last(launch: Launch, rank: int) -> str:
    lines = _said(launch, rank).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " | ".join(lines[-LINES_SHOWN:]) or "it said nothing"
