"""The engine with contention: SMs, memory bandwidth and links of a device are shared by what runs on it.

Each rank class is a device with its own capacities; ranks meet only where a group ends an op together. An op that
shares nothing with what runs beside it needs one event (express); ops that do share are fluid: their rates are solved
when the set changes, once per distinct set.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import simpy

from simulator.engine.devices import (
    EXPRESS,
    FLUID,
    HOLDING,
    IDLE,
    LATENT,
    Device,
    Group,
    Lane,
    Tick,
    clashes,
    enter,
    groups_of,
    holding_claims,
    make_devices,
    soonest,
)
from simulator.engine.plan import Plan, Times, times_of
from simulator.engine.sharing import progress_rates
from simulator.engine.stuck import check_finished
from simulator.resources import Capacities

INFINITE = float("inf")
AFTER_OTHERS = 2  # SimPy's priority of group ends among events of the same time; all others have 1
DONE = 1e-9  # share of an op's work below which it counts as done: rounding of the shares above


class ContendedRun:
    """One run of a plan on devices with shared capacities."""

    def __init__(self, plan: Plan, capacities: Capacities) -> None:
        self.env = simpy.Environment()
        self.schedule: Callable[[Any, Any, float], None] = self.env.schedule
        self.plan = plan
        self.demand_of_O, self.next_of_O = plan.demand_of_O, plan.next_of_O
        self.waiters_of_O, self.stream_of_O = plan.waiters_of_O, plan.stream_of_O
        self.n_sms = capacities.n_sms
        self.capacity = list(capacities.bytes_per_s.values())
        self.clash_DD = clashes(plan)
        self.sms_D = [min(d.sms, capacities.n_sms) for d in plan.demands]
        self.holds_D = [d.holds_sms for d in plan.demands]
        self.group_of = groups_of(plan)
        self.devices, claims = make_devices(plan, capacities)
        self.first_hold = len(claims)
        self.claims = claims + holding_claims(plan)
        self.rates_of: dict[tuple[int, ...], list[float]] = {}
        self.on_express, self.on_latency = [self._express_ended], [self._latency_ended]
        self.on_wake, self.on_release = [self._woke], [self._released]

    def run(self) -> Times:
        """Return the times of the plan."""
        for device in self.devices:
            for stream, op in enumerate(self.plan.first_of_S):
                device.lanes[stream].head = op
            for stream, op in enumerate(self.plan.first_of_S):
                if not self.plan.n_waits_O[op]:
                    self._begin(device.lanes[stream], op, 0.0)
        self.env.run()
        check_finished(self.plan, self.devices, self.group_of)
        arrays = (np.array([getattr(d, name) for d in self.devices]).T for name in ("start", "end", "own_end"))
        return times_of(self.plan, *arrays)

    def _begin(self, lane: Lane, op: int, now: float) -> None:
        """Start an op: with one event at its end if it shares nothing with what runs, else its latency first."""
        device = lane.device
        lane.op = op
        lane.demand = d = self.demand_of_O[op]
        device.start[op] = now
        latency, alone, running, sms = device.latency_D[d], device.alone_D[d], device.running, self.sms_D[d]
        lane.fluid_at = now + latency
        device.sms += sms
        clash = False
        if running and alone > 0.0:
            row, crowded = self.clash_DD[d], sms and device.sms > self.n_sms
            for other in running:
                if row[other.demand] or (crowded and self.sms_D[other.demand]):
                    clash = True
                    break
        if running and running[-1].fluid_at >= lane.fluid_at:
            enter(running, lane)
        else:
            running.append(lane)
        if not clash:
            lane.state = EXPRESS
            tick = lane.tick
            if tick is None or tick.callbacks is not None:
                lane.tick = tick = Tick(self.on_express, lane)
            else:  # SimPy has taken it off its queue: use it again
                tick.callbacks = self.on_express
                tick.owner = lane
            self.schedule(tick, 1, latency + alone)
        elif latency > 0.0:
            lane.state = LATENT
            self.schedule(Tick(self.on_latency, lane), 1, latency)
        else:
            self._share(lane, now)

    def _share(self, lane: Lane, now: float) -> None:
        """Let an op, from its first need on, share resources with what it clashes with; alone if that has left."""
        device, d = lane.device, lane.demand
        row, crowded = self.clash_DD[d], self.sms_D[d] and device.sms > self.n_sms
        clash = False
        for other in device.running:
            if other.state == LATENT or other is lane:  # what is still latent will look for itself
                continue
            if row[other.demand] or (crowded and self.sms_D[other.demand]):
                clash = True
                if other.state == EXPRESS:
                    self._leave_express(other, now)
        if not clash:
            lane.state = EXPRESS
            lane.tick = tick = Tick(self.on_express, lane)
            self.schedule(tick, 1, device.alone_D[d])
            return
        lane.left = 1.0
        lane.state = FLUID
        self._advance(device, now)
        device.fluid = [other for other in device.running if other.state >= FLUID]
        self._solve(device, now)

    def _leave_express(self, lane: Lane, now: float) -> None:
        """Another op wants what this one uses: from now on it is one of several."""
        alone = lane.device.alone_D[lane.demand]
        if not alone:  # it uses nothing on this rank
            return
        assert lane.tick is not None
        lane.tick.owner = None
        if now < lane.fluid_at:
            lane.state = LATENT
            self.schedule(Tick(self.on_latency, lane), 1, lane.fluid_at - now)
            return
        lane.left = 1.0 - (now - lane.fluid_at) / alone
        lane.state = FLUID

    def _express_ended(self, tick: Tick) -> None:
        lane = tick.owner
        if lane is None:
            return
        if self.group_of[lane.op] is not None:
            self._worked(lane, self.env.now)
            return
        device = lane.device  # the common end of an op: nothing shared, nobody to wait for
        lane.state = IDLE
        device.running.remove(lane)
        device.sms -= self.sms_D[lane.demand]
        self._finish(lane, self.env.now)

    def _latency_ended(self, tick: Tick) -> None:
        self._share(tick.owner, self.env.now)

    def _advance(self, device: Device, now: float) -> None:
        """Book the work done since the rates were last solved."""
        elapsed = now - device.since
        device.since = now
        if elapsed > 0.0:
            for lane, rate in zip(device.fluid, device.rates):  # noqa: B905 - the inner loop of the engine
                lane.left -= rate * elapsed

    def _solve(self, device: Device, now: float) -> None:
        """Set the rates of what shares resources now, and the time of the next completion."""
        if device.updating:
            return
        device.wake, device.since = None, now
        fluid = device.fluid
        if not fluid:
            return
        if len(fluid) == 1:
            lane = fluid[0]
            if lane.state == FLUID:
                alone = device.alone_D[lane.demand]
                if lane.left == 1.0 and now > lane.fluid_at:
                    device.start[lane.op] = now - device.latency_D[lane.demand]
                device.rates = [1.0 / alone]
                due = lane.left * alone
                device.wake = tick = Tick(self.on_wake, device)
                self.schedule(tick, 1, due if due > 0.0 else 0.0)
            return
        first_hold, claim_D = self.first_hold, device.claim_D
        key = tuple([lane.demand + first_hold if lane.state == HOLDING else claim_D[lane.demand] for lane in fluid])
        rates = self.rates_of.get(key)
        if rates is None:
            rates = progress_rates([self.claims[k] for k in key], self.n_sms, self.capacity)
            self.rates_of[key] = rates
        device.rates = rates
        first = INFINITE
        for lane, rate in zip(fluid, rates):  # noqa: B905 - the inner loop of the engine
            if rate > 0.0 and lane.state == FLUID:
                if lane.left == 1.0 and now > lane.fluid_at:  # it queued for SMs and has them now
                    device.start[lane.op] = now - device.latency_D[lane.demand]
                due = lane.left / rate
                if due < first:  # noqa: PLR1730 - min() costs more in the inner loop
                    first = due
        if first < INFINITE:
            device.wake = tick = Tick(self.on_wake, device)
            self.schedule(tick, 1, first if first > 0.0 else 0.0)

    def _woke(self, tick: Tick) -> None:
        device: Device = tick.owner
        if device.wake is not tick:
            return
        now = self.env.now
        if len(device.fluid) == 1:  # alone since its rate was set: done
            lane = device.fluid[0]
            device.fluid, device.rates = [], []
            self._worked(lane, now)
            return
        self._advance(device, now)
        ended = [lane for lane in device.fluid if lane.left <= DONE and lane.state == FLUID]
        if not ended:  # what was due is less than the clock resolves
            ended = [soonest(device)]
        device.updating = True
        for lane in ended:
            self._worked(lane, now)
        device.updating = False
        device.fluid = [lane for lane in device.running if lane.state >= FLUID]
        self._solve(device, now)

    def _worked(self, lane: Lane, now: float) -> None:
        """An op's own part is over: it ends, or waits for its group (with its SMs, if it holds them)."""
        groups = self.group_of[lane.op]
        if groups is None:
            self._leave(lane, now)
            self._finish(lane, now)
            return
        device = lane.device
        device.own_end[lane.op] = now
        group = groups[device.index]
        group.arrived.append(lane)
        group.missing -= 1
        if self.holds_D[lane.demand]:
            self._hold(lane, now)
        else:
            self._leave(lane, now)
        if not group.missing:  # after all that ends on any rank at the same time, in the order of ops
            self.schedule(Tick(self.on_release, group), AFTER_OTHERS + lane.op, group.tail_s)

    def _released(self, tick: Tick) -> None:
        group: Group = tick.owner
        now = self.env.now
        for lane in group.arrived:
            if lane.state != IDLE:
                self._leave(lane, now)
            self._finish(lane, now)

    def _hold(self, lane: Lane, now: float) -> None:
        device = lane.device
        self._advance(device, now)
        lane.state = HOLDING
        device.fluid = [other for other in device.running if other.state >= FLUID]
        if not device.updating:
            device.rates = []
            self._solve(device, now)

    def _leave(self, lane: Lane, now: float) -> None:
        """Take an op off its device."""
        device = lane.device
        shared = lane.state >= FLUID and len(device.fluid) > 0
        if shared:
            self._advance(device, now)
        lane.state = IDLE
        device.running.remove(lane)
        device.sms -= self.sms_D[lane.demand]
        if shared and not device.updating:
            device.fluid = [other for other in device.running if other.state >= FLUID]
            self._solve(device, now)

    def _finish(self, lane: Lane, now: float) -> None:
        """End an op: start what waited for it on its device."""
        device, op = lane.device, lane.op
        device.end[op] = now
        waits = device.waits
        waiters = self.waiters_of_O[op]
        if waiters:
            for waiter in waiters:
                waits[waiter] -= 1
                if not waits[waiter]:
                    other = device.lanes[self.stream_of_O[waiter]]
                    if other.head == waiter:
                        self._begin(other, waiter, now)
        following = self.next_of_O[op]
        lane.head = following
        if following >= 0 and not waits[following]:
            self._begin(lane, following, now)
