"""The moving part of a contended run: lanes, devices and groups. Attributes and plain lists for the inner loop.

O ops, D distinct demands.
"""

from typing import Any

import numpy as np

from simulator.engine.plan import Plan, alone_s
from simulator.engine.sharing import Claim, make_claim
from simulator.resources import Capacities, Demand

IDLE, EXPRESS, LATENT, FLUID, HOLDING = range(5)


class Tick:
    """What SimPy needs of an event, and whose it is; `owner` None: overtaken by other events."""

    __slots__ = ("callbacks", "owner")
    _ok = True

    def __init__(self, callbacks: list[Any], owner: Any) -> None:  # noqa: ANN401 - a lane, a device or a group
        self.callbacks = callbacks
        self.owner = owner


class Lane:
    """One stream of one device: its current op with its demand and state, and the share of work left (1..0)."""

    __slots__ = ("demand", "device", "fluid_at", "head", "left", "op", "state", "tick")

    def __init__(self, device: "Device") -> None:
        self.device = device
        self.head = self.op = self.demand = -1
        self.left = self.fluid_at = 0.0
        self.state = IDLE
        self.tick: Tick | None = None


class Device:
    """One rank class: what runs on it, in order of start (`running`); of that, what shares resources (`fluid`, with
    the `rates` that hold `since`); SMs wanted by all of it."""

    __slots__ = (
        "alone_D", "claim_D", "end", "fluid", "index", "lanes", "latency_D", "own_end", "rates", "running", "since",
        "sms", "start", "updating", "waits", "wake",
    )  # fmt: skip

    def __init__(
        self, index: int, plan: Plan, *, alone_D: list[float], latency_D: list[float], claim_D: list[int]
    ) -> None:
        n_ops = len(plan.stream_of_O)
        self.index = index
        self.lanes = [Lane(self) for _ in range(plan.n_streams)]
        self.running: list[Lane] = []
        self.fluid: list[Lane] = []
        self.rates: list[float] = []
        self.since = 0.0
        self.sms = 0
        self.updating = False
        self.wake: Tick | None = None
        self.waits = list(plan.n_waits_O)
        self.start, self.end, self.own_end = [0.0] * n_ops, [0.0] * n_ops, [0.0] * n_ops
        self.alone_D, self.latency_D, self.claim_D = alone_D, latency_D, claim_D


def enter(running: list[Lane], lane: Lane) -> None:
    """Put an op among those that run, in the order in which they first need what they share, then of ops."""
    at = len(running)
    while at and (running[at - 1].fluid_at, running[at - 1].op) > (lane.fluid_at, lane.op):
        at -= 1
    running.insert(at, lane)


def soonest(device: Device) -> Lane:
    """Return the op that ends next of those that share resources and move."""
    moving = [(lane, rate) for lane, rate in zip(device.fluid, device.rates, strict=True) if rate > 0.0]
    return min((lane.left / rate, i, lane) for i, (lane, rate) in enumerate(moving) if lane.state == FLUID)[2]


def make_devices(plan: Plan, capacities: Capacities) -> tuple[list[Device], list[Claim]]:
    """Return the devices of all rank classes and the distinct claims they number: equal claims of other ranks and
    layers are one, so that rates solved once serve all of them."""
    alone_CD = np.stack([alone_s(demand, capacities) for demand in plan.demands], axis=1).tolist()
    latency_CD = np.stack([demand.latency_s_C for demand in plan.demands], axis=1).tolist()
    claims: list[Claim] = []
    known: dict[tuple[float, ...], int] = {}
    claim_DC = [_number_claims(demand, capacities, claims, known) for demand in plan.demands]
    claim_CD = [list(column) for column in zip(*claim_DC, strict=True)]
    devices = [
        Device(c, plan, alone_D=alone_CD[c], latency_D=latency_CD[c], claim_D=claim_CD[c])
        for c in range(plan.n_classes)
    ]
    return devices, claims


def _number_claims(
    demand: Demand, capacities: Capacities, claims: list[Claim], known: dict[tuple[float, ...], int]
) -> list[int]:
    """Number of this demand's claim on each rank class; new ones join `claims`."""
    capacity = list(capacities.bytes_per_s.values())
    zeros_C = np.zeros_like(demand.sm_s_C)
    columns = [demand.sm_s_C, *(demand.bytes_C.get(name, zeros_C) for name in capacities.bytes_per_s)]
    numbers = []
    for sm_s, *amounts in np.stack(columns, axis=1).tolist():
        shares = (demand.share_beside_compute, demand.compute_share)
        key = (sm_s, demand.sms, demand.holds_sms, *shares, *amounts)
        if key not in known:
            known[key] = len(claims)
            bytes_on = list(enumerate(amounts))
            claims.append(
                make_claim(
                    sm_s=sm_s,
                    sms=demand.sms,
                    holds=demand.holds_sms,
                    bytes_on=bytes_on,
                    capacity=capacity,
                    share_beside_compute=demand.share_beside_compute,
                    compute_share=demand.compute_share,
                )
            )
        numbers.append(known[key])
    return numbers


def holding_claims(plan: Plan) -> list[Claim]:
    """Return for each demand the claim of an op that has worked and only holds its SMs, (D,)."""
    return [Claim(0.0, demand.sms, holds=True, bytes_on=(), byte_rate=0.0) for demand in plan.demands]


class Group:
    """Ranks that end an op together: those that have arrived, and how many are still to come."""

    __slots__ = ("arrived", "missing", "tail_s")

    def __init__(self, missing: int, tail_s: float) -> None:
        self.missing = missing
        self.tail_s = tail_s
        self.arrived: list[Any] = []


def groups_of(plan: Plan) -> list[list[Group] | None]:
    """Return for each op the group of each class (None for ops without groups); equal numbers share one."""
    groups: list[list[Group] | None] = []
    for d in plan.demand_of_O:
        demand = plan.demands[d]
        if demand.group_C is None:
            groups.append(None)
            continue
        ids = demand.group_C.tolist()
        made = {g: Group(ids.count(g), demand.tail_latency_s) for g in dict.fromkeys(ids)}
        groups.append([made[g] for g in ids])
    return groups


def clashes(plan: Plan) -> list[list[bool]]:
    """Return whether two demands slow one another other than by SMs, (D, D): they share a resource of bytes, or one
    computes and the other loses pace beside compute or takes some from it. SMs are counted where they are wanted."""
    used = [{name for name, b in d.bytes_C.items() if float(b.max(initial=0.0)) > 0.0} for d in plan.demands]
    computes = [bool(d.sm_s_C.max(initial=0.0) > 0.0) for d in plan.demands]
    disturbed = [d.share_beside_compute < 1.0 or d.compute_share < 1.0 for d in plan.demands]
    everyone = list(zip(used, computes, disturbed, strict=True))
    return [
        [not a.isdisjoint(b) or (loses_a and works_b) or (loses_b and works_a) for b, works_b, loses_b in everyone]
        for a, works_a, loses_a in everyone
    ]
