"""The engine without contention: each op takes its time alone, in-order streams and groups hold it up."""

from collections.abc import Callable
from typing import Any

import numpy as np
import simpy

from simulator.engine.devices import groups_of
from simulator.engine.plan import Plan, Times, alone_s, times_of
from simulator.resources import Capacities


class _Lane(simpy.Event):
    """One stream of one rank class, and the event of its current op: scheduled anew for each, never recreated."""

    start: list[float]
    end: list[float]
    own_end: list[float]
    waits: list[int]
    alone: list[float]
    siblings: list["_Lane"]
    group_of: list[int]
    op: int
    head: int
    at: float


def run_uncontended(plan: Plan, capacities: Capacities) -> Times:
    """Return the times of `plan` where no op slows another."""
    env = simpy.Environment()
    alone_D = [(demand.latency_s_C + alone_s(demand, capacities)).tolist() for demand in plan.demands]
    lanes_C = [_make_lanes(env, plan, alone_D, c) for c in range(plan.n_classes)]
    callbacks: list[Any] = []
    begin = _beginning(env, plan, callbacks)
    callbacks.append(_completion(env, plan, lanes_C, _finishing(plan, begin)))
    for lanes in lanes_C:
        for stream, op in enumerate(plan.first_of_S):
            lanes[stream].head = op
        for stream, op in enumerate(plan.first_of_S):
            if not plan.n_waits_O[op]:
                begin(lanes[stream], op, 0.0)
    env.run()
    arrays = (np.array([getattr(lanes[0], name) for lanes in lanes_C]).T for name in ("start", "end", "own_end"))
    return times_of(plan, *arrays)


def _make_lanes(env: simpy.Environment, plan: Plan, alone_D: list[list[float]], c: int) -> list[_Lane]:
    n_ops = len(plan.stream_of_O)
    start, end, own_end, waits = [0.0] * n_ops, [0.0] * n_ops, [0.0] * n_ops, list(plan.n_waits_O)
    alone = [alone_D[d][c] for d in plan.demand_of_O]
    siblings: list[_Lane] = []
    for _ in range(plan.n_streams):
        lane = _Lane(env)
        lane._ok, lane._value = True, None  # a triggered event, as simpy.Timeout makes itself
        lane.start, lane.end, lane.own_end, lane.waits, lane.alone = start, end, own_end, waits, alone
        lane.siblings, lane.head = siblings, -1
        siblings.append(lane)
    return siblings


def _beginning(env: simpy.Environment, plan: Plan, callbacks: list[Any]) -> Callable[[_Lane, int, float], None]:
    """Return what starts an op on its lane: one event at the end of it and of the ops that must follow it at once.

    An op whose end nobody else sees (no waiter on another stream, no group) and whose successor waits for nothing else
    needs no event of its own: its end is its successor's start.
    """
    schedule: Callable[[Any, Any, float], None] = env.schedule  # SimPy's type for a priority is not the int it takes
    next_of, unseen_O = plan.next_of_O, _unseen_ends(plan)

    def begin(lane: _Lane, op: int, now: float) -> None:
        start, alone, at = lane.start, lane.alone, now
        start[op] = now
        at += alone[op]
        while unseen_O[op]:
            lane.end[op] = at
            op = next_of[op]
            start[op] = at
            at += alone[op]
        lane.op = lane.head = op
        lane.at = at
        lane.callbacks = callbacks
        schedule(lane, 1, at - now)

    return begin


def _unseen_ends(plan: Plan) -> list[bool]:
    groups = [plan.demands[d].group_C is not None for d in plan.demand_of_O]
    return [
        following >= 0 and not waiters and not grouped and not plan.n_waits_O[following]
        for following, waiters, grouped in zip(plan.next_of_O, plan.waiters_of_O, groups, strict=True)
    ]


def _finishing(plan: Plan, begin: Callable[[_Lane, int, float], None]) -> Callable[[_Lane, float], None]:
    """Return what ends an op on its lane and starts what waited for it."""
    stream_of, next_of, waiters_of = plan.stream_of_O, plan.next_of_O, plan.waiters_of_O

    def finish(lane: _Lane, now: float) -> None:
        op = lane.op
        lane.end[op] = now
        waiters = waiters_of[op]
        if waiters:
            waits, siblings = lane.waits, lane.siblings
            for waiter in waiters:
                waits[waiter] -= 1
                if not waits[waiter]:
                    other = siblings[stream_of[waiter]]
                    if other.head == waiter:
                        begin(other, waiter, now)
        following = next_of[op]
        lane.head = following
        if following >= 0 and not lane.waits[following]:
            begin(lane, following, now)

    return finish


def _completion(
    env: simpy.Environment, plan: Plan, lanes_C: list[list[_Lane]], finish: Callable[[_Lane, float], None]
) -> Callable[[_Lane], None]:
    """Return the callback of every op's own end. Closures over plain lists: they run once per op and rank."""
    group_of = groups_of(plan)
    index_of = {id(lane): c for c, lanes in enumerate(lanes_C) for lane in lanes}

    def released(event: Any) -> None:  # noqa: ANN401 - its value is the list of lanes
        for lane in event.value:
            finish(lane, env.now)

    def done(lane: _Lane) -> None:
        op, now = lane.op, lane.at
        groups = group_of[op]
        if groups is None:
            finish(lane, now)
            return
        lane.own_end[op] = now
        group = groups[index_of[id(lane)]]
        group.arrived.append(lane)
        group.missing -= 1
        if group.missing:
            return
        if group.tail_s:
            env.timeout(group.tail_s, group.arrived).callbacks.append(released)
        else:
            for member in group.arrived:
                finish(member, now)

    return done
