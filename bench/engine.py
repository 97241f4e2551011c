"""The engine against bare SimPy, in one process and in turn: completions/s over events/s, in CPU seconds."""

import statistics
import time
from collections.abc import Generator
from typing import Any

import simpy

from simulator.costs.cost import Machine, capacities
from simulator.demands import costs_of
from simulator.engine.run import run
from simulator.resources import Activity
from simulator.scenario import load_scenario
from workloads.lower import lower

SCENARIO = "longcat-flash-decode-h800x128"
UNEQUAL = ["routing.draw=sample", 'run.parts=["layers"]']
ROUNDS = 5


def bare_simpy_events_per_s(n_processes: int = 128, n_steps: int = 500) -> float:
    """Return the events/s of 128 processes that each yield timeout(1.0)."""
    env = simpy.Environment()

    def process() -> Generator[Any, Any, None]:
        while True:
            yield env.timeout(1.0)

    for _ in range(n_processes):
        env.process(process())
    began = time.process_time()
    env.run(until=n_steps)
    return n_processes * n_steps / (time.process_time() - began)


def measure() -> dict[str, float]:
    """Return median ratios to bare SimPy, and the engine's completions/s, on LongCat's 128 unequal ranks."""
    scenario = load_scenario(SCENARIO, UNEQUAL)
    graph = lower(scenario.step, scenario.schedule)
    profile = scenario.profile
    machine = Machine(profile=profile, n_devices=graph.n_ranks, launch="graph", compute_sms=profile.device.n_sms)
    activities = [
        Activity(stream=op.stream, deps=op.deps, demand=cost.demand)
        for op, cost in zip(graph.ops, costs_of(graph, machine), strict=True)
    ]
    n_completions = len(activities) * graph.n_classes
    figures: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, contention in (("uncontended", False), ("contended", True)):
            bare = bare_simpy_events_per_s()
            began = time.process_time()
            run(activities, capacities(machine), n_classes=graph.n_classes, contention=contention)
            rate = n_completions / (time.process_time() - began)
            figures.setdefault(f"engine_{name}_vs_simpy", []).append(rate / bare)
            figures.setdefault(f"engine_{name}_completions_per_s", []).append(rate)
            figures.setdefault("bare_simpy_events_per_s", []).append(bare)
    return {name: statistics.median(values) for name, values in figures.items()}
