"""Whole processes: `longsim run` against the imports that it cannot avoid, and its peak memory."""

import os
import statistics
import subprocess
import sys
import time

IMPORTS = [sys.executable, "-c", "import numpy, pandas, simpy, networkx, pydantic"]
RUN = [sys.executable, "-m", "longsim", "run", "longcat-flash-decode-h800x128"]
UNEQUAL = [*RUN, "--set", "routing.draw=sample"]
ROUNDS = 7


def wall_s(command: list[str]) -> float:
    """Return the seconds that a command takes as a whole process; raises CalledProcessError if it fails."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def peak_mb(command: list[str]) -> float:
    """Return the peak resident memory of a command [MB]."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_maxrss * 1024 / 1e6


def measure() -> dict[str, float]:
    """Return the median ratio of a balanced 128-GPU step to the imports, pair by pair, and the unequal step's peak."""
    wall_s(RUN)
    pairs = [(wall_s(RUN), wall_s(IMPORTS)) for _ in range(ROUNDS)]
    return {
        "run_process_vs_imports": statistics.median(run / imports for run, imports in pairs),
        "run_process_s": statistics.median(run for run, _ in pairs),
        "run_unequal_process_s": wall_s(UNEQUAL),
        "run_peak_mb": peak_mb(UNEQUAL),
    }
