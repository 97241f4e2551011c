"""Can the experts of a scenario be placed as it asks? Each check returns every fault it finds."""

from collections.abc import Iterable

from hw_profiles.faults import Fault
from hw_profiles.schema import HardwareProfile
from simulator.scenario_schema import Scenario
from workloads.layout import LOAD_AWARE
from workloads.model import ModelSpec
from workloads.replayed import load_trace


def check_for_impossible_placement(scenario: Scenario, model: ModelSpec, profile: HardwareProfile) -> Iterable[Fault]:
    """Copies that no rank can take, groups that no node can hold, loads that nobody knows."""
    yield from _check_copies(scenario, model)
    yield from _check_groups(scenario, model, profile)
    yield from _check_known_loads(scenario)
    yield from _check_rebalancing(scenario)


def _check_copies(scenario: Scenario, model: ModelSpec) -> Iterable[Fault]:
    n, layout = model.moe.n_routed_experts, scenario.layout
    most = n * (max(layout.ep, 1) - 1)
    if not 0 <= layout.n_redundant_experts <= most:
        yield Fault(
            field="layout.n_redundant_experts",
            got=str(layout.n_redundant_experts),
            allowed=f"0 to {most} ({n} experts once on each of {layout.ep} ranks)",
            remedy="hold an expert at most once on each rank",
        )


def _check_groups(scenario: Scenario, model: ModelSpec, profile: HardwareProfile) -> Iterable[Fault]:
    """Groups of experts that cannot be packed evenly over the nodes of an EP group."""
    layout, n = scenario.layout, model.moe.n_routed_experts
    hierarchical = layout.expert_placement == "eplb_hierarchical"
    if layout.n_expert_groups and not hierarchical:
        yield Fault(
            field="layout.n_expert_groups",
            got=str(layout.n_expert_groups),
            allowed='0 unless expert_placement is "eplb_hierarchical"',
            remedy="leave it out, or choose that placement",
        )
        return
    if not hierarchical or not n:
        return
    n_nodes = -(-max(layout.ep, 1) // profile.node.n_devices)
    groups = layout.n_expert_groups or n
    if groups < 1 or n % groups or groups % n_nodes:
        allowed = ", ".join(str(d) for d in range(n_nodes, n + 1, n_nodes) if n % d == 0)
        yield Fault(
            field="layout.n_expert_groups",
            got=str(layout.n_expert_groups),
            allowed=allowed or f"none: {n} experts cannot be shared evenly by {n_nodes} nodes",
            remedy=f"groups have to divide {n} experts, and {n_nodes} nodes the groups",
        )


def _check_known_loads(scenario: Scenario) -> Iterable[Fault]:
    """Loads that are neither the true ones nor counted in a window, or in one longer than the trace."""
    layout = scenario.layout
    kind, _, steps = layout.placement_loads.partition(":")
    if layout.placement_loads != "true" and not (kind == "window" and steps.isdecimal() and int(steps) > 0):
        yield Fault(
            field="layout.placement_loads",
            got=repr(layout.placement_loads),
            allowed="true, window:STEPS",
            remedy="write one of these forms, such as window:10",
        )
        return
    popularity, _, path = scenario.routing.popularity.partition(":")
    n_windows = 2 if layout.rebalance_every_steps else 1
    if popularity == "trace" and layout.window_steps and path:
        try:
            recorded = load_trace(path).n_steps
        except ValueError:
            return  # check_for_trace_of_another_model says what is wrong with it
        if recorded < n_windows * layout.window_steps:
            yield Fault(
                field="layout.placement_loads",
                got=f"{layout.placement_loads!r}, {n_windows} times",
                allowed=f"windows within the {recorded} recorded steps",
                remedy="shorten the window, or record more steps",
            )


def _check_rebalancing(scenario: Scenario) -> Iterable[Fault]:
    layout = scenario.layout
    steps = layout.rebalance_every_steps
    if steps < 0:
        yield Fault(field="layout.rebalance_every_steps", got=str(steps), allowed="0 (never) or more",
                    remedy="write the steps between two placements")  # fmt: skip
    counted = layout.placement_loads.startswith("window") and layout.expert_placement in LOAD_AWARE
    if steps > 0 and not counted:
        yield Fault(
            field="layout.rebalance_every_steps",
            got=str(steps),
            allowed='0 unless a load-aware placement has placement_loads = "window:STEPS"',
            remedy="from loads that never change, nothing would ever move",
        )
