"""Whether a layout divides what it splits and stays inside the node where it must: every fault found."""

import math
from collections.abc import Iterable

from hw_profiles.faults import Fault
from hw_profiles.schema import HardwareProfile
from simulator.scenario_schema import Scenario
from workloads.layout import Layout
from workloads.model import ModelSpec
from workloads.zoo import n_dense_ffns, n_moe_layers


def check_for_layout_that_does_not_divide(
    scenario: Scenario, model: ModelSpec, profile: HardwareProfile
) -> Iterable[Fault]:
    """Degrees of parallelism that do not divide what they split, or leave the node where they must not."""
    layout, n, node = scenario.layout, scenario.n_gpus, profile.node.n_devices
    if n > node and n % node:
        yield Fault(field="n_gpus", got=str(n), allowed=f"up to {node}, or a multiple of {node}",
                    remedy=f"use whole nodes of {profile.name}")  # fmt: skip
    if n > profile.fabric.max_devices:
        yield Fault(field="n_gpus", got=str(n), allowed=f"up to {profile.fabric.max_devices} ({profile.name}'s fabric)",
                    remedy="raise fabric.max_devices in a profile of your own")  # fmt: skip
    heads = {"n_heads": model.attention.n_heads}
    width = {"dense_ffn": model.dense_ffn} if n_dense_ffns(model) else {}
    yield from _check_group("layout.attention_tp", layout.attention_tp, {"n_gpus": n, **heads}, node)
    yield from _check_group("layout.dense_tp", layout.dense_tp, {"n_gpus": n, **width}, node)
    yield from _check_ep(scenario, model, node)
    yield from _check_replicated(layout, model, node)


def check_for_what_is_not_modelled(layout: Layout) -> Iterable[Fault]:
    """Degrees and copies that a layout can name and nothing simulates yet."""
    for key in ("cp", "pp"):
        if getattr(layout, key) != 1:
            yield Fault(
                field=f"layout.{key}",
                got=str(getattr(layout, key)),
                allowed="1",
                remedy="context and pipeline parallelism are not modelled yet",
            )


def check_for_all_to_all_that_does_not_fit(scenario: Scenario, profile: HardwareProfile) -> Iterable[Fault]:
    """One-sided writes between nodes; two stages of which one has nowhere to go; ops of our own layers by another."""
    chosen, ep, node = scenario.run.all_to_all, scenario.layout.ep, profile.node.n_devices
    within, field = min(node, scenario.n_gpus), "run.all_to_all"
    if chosen == "one_sided" and (ep > within or profile.node.kind != "nvlink"):
        yield Fault(field=field, got=f"'one_sided' with ep={ep}", remedy="shrink the EP group or choose another",
                    allowed=f"groups of one NVLink domain ({profile.name}: {node}, {profile.node.kind})")  # fmt: skip
    if chosen == "hierarchical" and ep <= within:
        yield Fault(field=field, got=f"'hierarchical' with ep={ep}", allowed=f"EP groups of several nodes of {node}",
                    remedy="choose normal or pairwise inside a node")  # fmt: skip
    crowded = ", ".join(shared.border.name for shared in scenario.shared_borders)
    if chosen in {"all_gather", "one_sided"} and ep > 1 and crowded:
        yield Fault(field=field, got=f"{chosen!r} over shared links ({crowded})", remedy="choose another algorithm",
                    allowed="fabrics whose shared links never bind, for this algorithm")  # fmt: skip
    for key in ("attention_tp", "dense_tp"):
        if crowded and (size := getattr(scenario.layout, key)) > node:
            yield Fault(field=f"layout.{key}", got=f"{size} over shared links ({crowded})", allowed=f"up to {node}",
                        remedy="keep the group in a node")  # fmt: skip
    if scenario.run.backend == "torch" and chosen not in {"auto", "low_latency", "normal"}:
        yield Fault(field=field, got=repr(chosen), allowed="auto with the backend 'torch'",
                    remedy="its layers have an all-to-all of their own: leave it out")  # fmt: skip


def check_for_small_buffers(scenario: Scenario) -> Iterable[Fault]:
    """Buffers of the low-latency kernels that this batch would overrun."""
    tokens = scenario.batch.sequences_per_gpu * (1 + scenario.mtp.n_draft)
    limit = scenario.batch.max_dispatch_tokens
    if limit > 0 and scenario.all_to_all == "low_latency" and limit < tokens:
        allowed = f"0, or at least this batch's {tokens:g} per rank"
        yield Fault(
            field="batch.max_dispatch_tokens", got=str(limit), allowed=allowed, remedy="raise it, or shrink the batch"
        )


def _check_ep(scenario: Scenario, model: ModelSpec, node: int) -> Iterable[Fault]:
    """EP groups hold equal shares of the experts and either fill whole nodes or share one with their like."""
    n, ep = scenario.n_gpus, scenario.layout.ep
    if n_moe_layers(model) == 0:
        if ep != 1:
            allowed = f"1 ({model.name} has no experts)"
            yield Fault(field="layout.ep", got=str(ep), allowed=allowed, remedy="split it with attention_tp, dense_tp")
        return
    redundant = max(scenario.layout.n_redundant_experts, 0)
    slots = {
        "n_routed_experts + n_redundant_experts" if redundant else "n_routed_experts": model.moe.n_routed_experts
        + redundant
    }
    yield from _check_group("layout.ep", ep, {"n_gpus": n, **slots}, node)


def _check_group(field: str, size: int, split: dict[str, int], node: int) -> Iterable[Fault]:
    """Groups that do not divide what they split, or that neither fill whole nodes nor share one with their like (part
    of one node may be cut as its own size allows)."""
    yield from _check_divisor(field, size, split)
    if split["n_gpus"] > node and size >= 1 and node % size and size % node:
        yield Fault(
            field=field,
            got=str(size),
            allowed=f"a divisor of {node}, or a multiple of {node}",
            remedy="let groups fill whole nodes, or nodes hold whole groups",
        )


def _check_replicated(layout: Layout, model: ModelSpec, node: int) -> Iterable[Fault]:
    """Replicated tokens with groups of several sizes, or of several nodes; experts split by width without them, or into
    no whole parts."""
    if not layout.replicated:
        if layout.moe_tp != 1:
            yield Fault(field="layout.moe_tp", got=str(layout.moe_tp), allowed="1 with scattered tokens",
                        remedy='set layout.tp_tokens = "replicated", or split experts with ep')  # fmt: skip
        return
    if n_moe_layers(model):
        yield from _check_divisor("layout.moe_tp", layout.moe_tp, {"expert_ffn": model.moe.expert_ffn})
    sizes = {layout.attention_tp, layout.dense_tp, *([layout.ep * layout.moe_tp] if n_moe_layers(model) else [])}
    if len(sizes) > 1:
        got = f"'replicated' with attention_tp={layout.attention_tp}, dense_tp={layout.dense_tp}, "
        yield Fault(field="layout.tp_tokens", got=f"{got}ep={layout.ep}, moe_tp={layout.moe_tp}",
                    allowed="attention_tp = dense_tp = ep * moe_tp: one group shares everything",
                    remedy="make them alike, or scatter the tokens")  # fmt: skip
    elif layout.attention_tp > node:
        yield Fault(field="layout.tp_tokens", got=f"'replicated' over {layout.attention_tp} ranks",
                    allowed=f"groups in one node of {node}",
                    remedy="keep the group in a node, or scatter the tokens")  # fmt: skip


def _check_divisor(field: str, value: int, split: dict[str, int]) -> Iterable[Fault]:
    common = math.gcd(*split.values())
    if value >= 1 and common % value == 0:
        return
    divisors = ", ".join(str(d) for d in range(1, common + 1) if common % d == 0)
    what = ", ".join(f"{name}={size}" for name, size in split.items())
    yield Fault(field=field, got=str(value), allowed=divisors, remedy=f"it has to divide {what}")
