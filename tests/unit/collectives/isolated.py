"""One dispatch, combine or collective of a step, run alone through the engine."""

from dataclasses import dataclass, replace

from simulator.scenario import build_scenario
from simulator.scenario_schema import Scenario
from simulator.simulate import Run, simulate
from workloads.graph import OpGraph
from workloads.lower import lower

HIDDEN, TOP_K, EXPERTS = 7168.0, 8, 256  # DeepSeek-V3


@dataclass(frozen=True, kw_only=True)
class Alone:
    """The run, the graph of the ops that it holds, and the scenario that they came from."""

    scenario: Scenario
    graph: OpGraph
    run: Run

    @property
    def seconds(self) -> float:
        """When the last rank is done."""
        return float(self.run.times.end_OC.max())


def alone(machine, kind, *, ep, tokens, all_to_all="auto", dense_tp=1, routing=None, kernel=None, seed=0):
    """Return the ops of `kind` (and of `kernel`, where one is named) of the last layer, run one after the other."""
    scenario = build_scenario({
        "model": "deepseek_v3", "machine": machine, "n_gpus": ep, "layout": {"ep": ep, "dense_tp": dense_tp},
        "batch": {"sequences_per_gpu": float(tokens)}, "mtp": {"n_draft": 0, "acceptance": []}, "seed": seed,
        "run": {"all_to_all": all_to_all, "parts": ["layers"]}, "routing": routing or {},
        "model_overrides": {"n_layers": 4, "moe.n_limited_groups": 8},  # the tables were measured without limits
    })  # fmt: skip
    graph = lower(scenario.step, "sequential")
    mine = [op for op in graph.ops if op.work.kind == kind and kernel in {None, op.work.kernel}]
    mine = [op for op in mine if op.layer == mine[-1].layer]
    ops = [replace(op, deps=(at - 1,) if at else ()) for at, op in enumerate(mine)]
    part = replace(graph, ops=ops)
    return Alone(scenario=scenario, graph=part, run=simulate(part, scenario.profile, fitted=scenario.fitted))
