"""When does which schedule and which shortcut position pay? One figure of the machine varied, step times beside the
share of communication that it makes; and the overlap window beside what has to fit into it.

Every time is a simulated step's, whether or not its memory fits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from math import sqrt

import numpy as np
import pandas as pd

from simulator.evaluate import run_scenario
from simulator.metrics import device_times
from simulator.scenario import build_scenario, resolved
from simulator.scenario_schema import Scenario

SCHEDULES = ("sequential", "tbo", "sbo", "two_stream")
SHORTCUTS = (0, 1, 2, 3)
ALL_TO_ALLS = ("dispatch", "combine")
MOE = (*ALL_TO_ALLS, "router", "experts", "shared_experts")


@dataclass(frozen=True, kw_only=True)
class Study:
    """A scenario whose `machine_key`, such as "tiers.nic.bytes_per_s", is varied."""

    scenario: Scenario
    machine_key: str

    def at(self, figure: float, *, schedule: str, shortcut: int) -> Scenario:
        """Return the scenario with this figure, schedule and shortcut position; InputFaults if they make no sense."""
        tables = resolved(
            replace(
                self.scenario,
                schedule=schedule,
                machine_overrides={**self.scenario.machine_overrides, self.machine_key: float(figure)},
                model_overrides={**self.scenario.model_overrides, "shortcut": shortcut},
            )
        )
        return build_scenario(tables)

    def step_s(self, figure: float, *, schedule: str, shortcut: int) -> float:
        """Return the makespan of the step [s]."""
        return float(run_scenario(self.at(figure, schedule=schedule, shortcut=shortcut)).times.end_OC.max())

    def communication_share(self, figure: float) -> float:
        """Return all-to-alls / (all-to-alls + router + routed and shared experts), each alone: the ScMoE paper's share
        of MoE time."""
        took_s = seconds_by_kind(self.at(figure, schedule="sequential", shortcut=0))
        moe_s = sum(took_s.get(kind, 0.0) for kind in MOE)
        return sum(took_s.get(kind, 0.0) for kind in ALL_TO_ALLS) / moe_s if moe_s else 0.0


def seconds_by_kind(scenario: Scenario) -> Mapping[str, float]:
    """Return the summed op times of a step by kind, mean over devices [s]."""
    timeline = run_scenario(scenario).timeline
    took_s = (timeline["end_s"] - timeline["start_s"]) * timeline["n_alike"] / scenario.n_gpus
    return {str(kind): float(s) for kind, s in took_s.groupby(timeline["kind"].astype(str)).sum().items()}


def overlap_table(
    study: Study,
    figures: Sequence[float],
    *,
    schedules: Sequence[str] = SCHEDULES,
    shortcuts: Sequence[int] = SHORTCUTS,
) -> pd.DataFrame:
    """Return one row per figure, shortcut and schedule: figure, comm_share, shortcut, schedule, step_s, hidden_share
    (1 - exposed / all communication) and `wins`: whether it is the fastest schedule of its figure and shortcut."""
    share_of = {figure: study.communication_share(figure) for figure in figures}
    rows = []
    for figure, shortcut, schedule in product(figures, shortcuts, schedules):
        timeline = run_scenario(study.at(figure, schedule=schedule, shortcut=shortcut)).timeline
        rows.append(
            {
                "figure": figure,
                "comm_share": share_of[figure],
                "shortcut": shortcut,
                "schedule": schedule,
                "step_s": float(timeline["end_s"].max()),
                "hidden_share": _hidden_share(timeline),
            }
        )
    table = pd.DataFrame(rows)
    first = table.groupby(["figure", "shortcut"])["step_s"].idxmin()
    return table.assign(wins=table.index.isin(first))


def _hidden_share(timeline: pd.DataFrame) -> float:
    devices = device_times(timeline)
    comm_s = float(np.average(devices["comm_s"], weights=devices["n_alike"]))
    exposed_s = float(np.average(devices["exposed_comm_s"], weights=devices["n_alike"]))
    return 1.0 - exposed_s / comm_s if comm_s else 1.0


def break_evens(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Return where the winner of `overlap_table` changes between neighbouring figures, by bisection: shortcut, loses,
    wins (schedules; from there upwards), figure and comm_share."""
    rows = []
    winners = table[table["wins"]].sort_values(["shortcut", "figure"])
    columns = (winners[name].tolist() for name in ("shortcut", "schedule", "figure"))
    for (shortcut, loses, low), (other, wins, high) in pairwise(zip(*columns, strict=True)):
        if shortcut == other and loses != wins:
            figure = bisect(_difference(study, (loses, wins), shortcut), low, high)
            share = study.communication_share(figure)
            rows.append({"shortcut": shortcut, "loses": loses, "wins": wins, "figure": figure, "comm_share": share})
    return pd.DataFrame(rows, columns=["shortcut", "loses", "wins", "figure", "comm_share"])


def _difference(study: Study, schedules: tuple[str, str], shortcut: int) -> Callable[[float], float]:
    def seconds(figure: float) -> float:
        first, second = (study.step_s(figure, schedule=schedule, shortcut=shortcut) for schedule in schedules)
        return first - second

    return seconds


def bisect(difference: Callable[[float], float], low: float, high: float, *, relative: float = 1e-3) -> float:
    """Return where `difference` changes its sign between two positive figures, to `relative`; halving their ratio."""
    rises = difference(low) < 0.0
    while high / low > 1.0 + relative:
        middle = sqrt(low * high)
        low, high = (middle, high) if (difference(middle) < 0.0) == rises else (low, middle)
    return sqrt(low * high)


def overlap_window(scenario: Scenario) -> pd.DataFrame:
    """Return one row per layer of ScMoE: window_s, the dense compute that neither precedes the MoE's input nor waits
    for its output, and what may hide in it, each alone: router_s, dispatch_s, experts_s, combine_s (mean over
    devices) [s]."""
    timeline = run_scenario(replace(scenario, schedule="sequential")).timeline
    timeline = timeline[timeline["layer"] >= 0]
    took_s = (timeline["end_s"] - timeline["start_s"]) * timeline["n_alike"] / scenario.n_gpus
    fills = ("router", "dispatch", "experts", "combine")
    branch = timeline["op_id"].where(timeline["kind"].isin(fills)).groupby(timeline["layer"])
    behind = timeline["op_id"] > branch.transform("max")  # in turn, the branch comes right after its input
    columns = {"window_s": took_s.where(behind & (timeline["kind"] != "residual"), 0.0)}
    columns |= {f"{kind}_s": took_s.where(timeline["kind"] == kind, 0.0) for kind in fills}
    return pd.DataFrame(columns).groupby(timeline["layer"]).sum().reset_index()
