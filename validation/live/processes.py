"""Ranks of a distributed program as processes of this machine, each on cores of its own."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from validation.live.links import Host

POLL_S = 0.05
LINES_SHOWN = 5


class RankFailedError(RuntimeError):
    """A rank ended badly, or none of them ended in time; the words say which and what it said last."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How to start ranks: one process each of `command`, in `hosts` where there are some; what they say goes to
    `folder`; `watch` is called while they run. `threads`: of one kernel."""

    command: Sequence[str]
    n_ranks: int
    folder: Path
    timeout_s: float
    hosts: Sequence[Host] = ()
    threads: int = 1
    environment: Mapping[str, str] | None = None
    watch: Callable[[], None] = lambda: None


def run_ranks(launch: Launch) -> None:
    """Run all ranks to their end; raises RankFailedError when one fails or time is up, after ending the others."""
    launch.folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    ranks: list[subprocess.Popen[bytes]] = []
    try:
        ranks += [_start(launch, rank, port) for rank in range(launch.n_ranks)]
        _wait(launch, ranks)
    finally:
        for process in ranks:
            if process.poll() is None:
                process.kill()
            process.wait()


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


def _start(launch: Launch, rank: int, port: int) -> "subprocess.Popen[bytes]":
    host = launch.hosts[rank] if launch.hosts else None
    environment = {
        **os.environ, **(launch.environment or {}), "RANK": str(rank), "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(launch.n_ranks), "MASTER_PORT": str(port), "OMP_NUM_THREADS": str(launch.threads),
        "MASTER_ADDR": launch.hosts[0].address if launch.hosts else "127.0.0.1",
        "GLOO_SOCKET_IFNAME": host.interface if host else "lo",
    }  # fmt: skip
    command = host.inside(launch.command) if host else list(launch.command)
    with _said(launch, rank).open("wb") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=subprocess.STDOUT)
    cores = cores_of(rank, launch.n_ranks)
    if cores:
        os.sched_setaffinity(process.pid, cores)
    return process


def _wait(launch: Launch, ranks: Sequence["subprocess.Popen[bytes]"]) -> None:
    until = time.monotonic() + launch.timeout_s
    while True:
        codes = [process.poll() for process in ranks]
        failed = [rank for rank, code in enumerate(codes) if code]
        if failed:
            raise RankFailedError(
                f"rank {failed[0]} ended with exit code {codes[failed[0]]}: {_last(launch, failed[0])}"
            )
        if all(code == 0 for code in codes):
            return
        if time.monotonic() > until:
            left = [rank for rank, code in enumerate(codes) if code is None]
            raise RankFailedError(f"ranks {left} did not end within {launch.timeout_s:g} s: {_last(launch, left[0])}")
        launch.watch()
        time.sleep(POLL_S)


def _said(launch: Launch, rank: int) -> Path:
    return launch.folder / f"rank{rank}.log"


def _last(launch: Launch, rank: int) -> str:
    lines = _said(launch, rank).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " | ".join(lines[-LINES_SHOWN:]) or "it said nothing"
