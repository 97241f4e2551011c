"""Steps of whole clusters: unequal ranks on a crowded fabric, an EP group of 1,024, growth with ranks and layers."""

import json
import resource
import subprocess
import sys
import time
from math import log
from statistics import median

from simulator.scenario import load_scenario
from simulator.simulate import simulate
from workloads.lower import lower

UNEQUAL = (
    "routing.draw=mean", "routing.popularity=power_law:1.01", "routing.ffn_experts.kind=beta_binomial",
    "routing.ffn_experts.mean=8", "routing.ffn_experts.std=3", "batch.context_cv=0.5",
    "machine_overrides.fabric.oversubscription=4",
)  # fmt: skip
THREE_LAYERS = ("model_overrides.moe.n_routed_experts=1024", "machine_overrides.fabric.n_layers=3")
ROUNDS = 3


def step_s(n_ranks: int, *more: str, rounds: int = ROUNDS) -> float:
    """Return the median seconds to lower and simulate one LongCat step in which no two ranks are alike."""
    scenario = load_scenario(
        "longcat-flash-decode-h800x128", [f"n_gpus={n_ranks}", f"layout.ep={n_ranks}", *UNEQUAL, *more]
    )
    step, profile, fitted = scenario.step, scenario.profile, scenario.fitted
    took = []
    for _ in range(rounds):
        start_s = time.perf_counter()
        simulate(lower(step, scenario.schedule), profile, fitted=fitted)
        took.append(time.perf_counter() - start_s)
    return median(took)


def large_step() -> dict[str, float]:
    """Return the seconds and the peak memory [MB] of one step of EP 1,024 on a tree of three layers."""
    seconds = step_s(1024, *THREE_LAYERS, rounds=1)
    return {
        "cluster.ep1024_s": seconds,
        "cluster.ep1024_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure() -> dict[str, float]:
    """Return the figures; the large step runs in a process of its own, so that its memory is its own."""
    small, large = step_s(64, "model_overrides.n_layers=7"), step_s(256)
    command = [sys.executable, "-c", "import json, cluster; print(json.dumps(cluster.large_step()))"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd="bench")
    return {
        "cluster.unequal_128_ranks_s": step_s(128),
        "cluster.sampled_128_ranks_s": step_s(128, "routing.draw=sample"),
        "cluster.growth_exponent": log(large / small) / log(256 * 28 / (64 * 7)),
        **json.loads(done.stdout),
    }
