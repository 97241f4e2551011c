"""Curves and profiles: evaluations per second, cold, memoised and vectorised; milliseconds to load a machine."""

import statistics
import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from hw_profiles.curves.base import Chip
from hw_profiles.curves.gemm import GemmCurve, gemm_s
from hw_profiles.loader import load_curves, load_profile

MACHINE = "h200_sxm"
ROUNDS = 5


def measure() -> dict[str, float]:
    """Return rates of the GEMM curve, the most used one, and the time to load a profile with its curves."""
    curve: GemmCurve = load_curves(MACHINE)["gemm", "fp8_block"].curve
    device, tiers = load_profile(MACHINE).device, load_profile(MACHINE).tiers
    chip = Chip(
        n_sms=device.n_sms, hbm_bytes_per_s=device.hbm_bytes_per_s, peak_flops_per_s=device.peak_flops_per_s,
        nvlink_bytes_per_s=tiers["nvlink"].bytes_per_s, nic_bytes_per_s=tiers["nic"].bytes_per_s,
    )  # fmt: skip

    def cold(m: float) -> float:
        return float(gemm_s(m, 12288.0, 6144.0, chip=chip, curve=curve))

    memoised = lru_cache(maxsize=None)(cold)
    memoised(192.0)
    many_M = np.linspace(1.0, 16384.0, 200_000)
    return {
        "curves.gemm_cold_per_s": _rate(lambda: [cold(float(m)) for m in range(1, 2001)], 2000),
        "curves.gemm_memoised_per_s": _rate(lambda: [memoised(192.0) for _ in range(20_000)], 20_000),
        "curves.gemm_vectorised_points_per_s": _rate(
            lambda: gemm_s(many_M, 12288.0, 6144.0, chip=chip, curve=curve), len(many_M)
        ),
        "curves.load_profile_ms": 1e3 / _rate(lambda: (load_profile(MACHINE), load_curves(MACHINE)), 1),
    }


def _rate(work: Callable[[], object], n: int) -> float:
    """Return how many of `n` items per second `work` does, median of several rounds."""
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return n / statistics.median(seconds)
