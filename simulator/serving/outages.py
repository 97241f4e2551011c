"""What breaks while replicas serve: by schedule or drawn, when it is noticed, and when all is whole again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from math import inf

import numpy as np

from simulator.failures import Failures, Kind
from simulator.serving.left import Left
from simulator.serving.replica import Replica
from simulator.serving.step_times import DecodeLines

_S_PER_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What a pool's replicas are to failures: GPUs of each, of a node and of an attention group; `load_s` to load the
    weights [s]; `steps(nic_is_dead, share_of_gpus, slowdown)`: its step times then."""

    replicas: Sequence[Replica]
    n_gpus: int
    gpus_per_node: int
    gpus_per_group: int
    load_s: float
    steps: Callable[[bool, float, float], DecodeLines]


@dataclass(kw_only=True)
class Outage:
    """One failure of a replica: it serves again from `serves_s` on, with `capacity` of itself, and is whole again at
    `back_s` [s]; `n_moved` requests had to leave."""

    pool: str
    replica: int
    kind: Kind
    at_s: float
    serves_s: float = inf
    back_s: float = inf
    capacity: float = 1.0
    n_moved: int = 0


@dataclass(kw_only=True)
class _Condition:
    """What ails a replica."""

    down: bool = False
    n_dead_nics: int = 0
    n_slow: int = 0
    dead_groups: set[int] = field(default_factory=set)
    back_s: float = 0.0  # inf: not known yet


class Outages:
    """Failures of the replicas of pools. `log`: all so far; `retry`: what becomes of requests."""

    def __init__(self, failures: Failures, units: Mapping[str, Unit], *, seed: int) -> None:
        self.retry = failures.retry
        self.log: list[Outage] = []
        self._failures = failures
        self._units = units
        self._rng = np.random.default_rng([seed, len("failures")])
        self._conditions = {(name, i): _Condition() for name, unit in units.items() for i in range(len(unit.replicas))}
        self._spares_s = [0.0] * failures.n_spare_nodes  # when a node is free to take another's place
        self._left: list[Left] = []
        for event in failures.events:
            self._at(event.at_s, event.pool, event.replica, partial(self._break, event.kind))
        for name, i in self._conditions:
            for kind, hours in failures.mtbf_hours.items():
                if hours:
                    self._draw(kind, name, i, 0.0)

    def take_left(self) -> list[Left]:
        """Return the requests that had to leave since the last call."""
        left, self._left = self._left, []
        return left

    def _at(self, time_s: float, pool: str, replica: int, action: Callable[[str, int, float], None]) -> None:
        self._units[pool].replicas[replica].agenda.at(time_s, partial(action, pool, replica, time_s), matters=False)

    def _draw(self, kind: Kind, pool: str, replica: int, after_s: float) -> None:
        """The next failure of that kind, of all that a replica has of it."""
        unit = self._units[pool]
        n = -(-unit.n_gpus // unit.gpus_per_node) if kind == "node" else unit.n_gpus
        mean_s = self._failures.mtbf_hours[kind] * _S_PER_HOUR / n

        def drawn(pool: str, replica: int, at_s: float) -> None:
            self._break(kind, pool, replica, at_s)
            self._draw(kind, pool, replica, at_s)

        self._at(after_s + self._rng.exponential(mean_s), pool, replica, drawn)

    def _break(self, kind: Kind, pool: str, replica: int, at_s: float) -> None:
        condition, failures = self._conditions[pool, replica], self._failures
        if condition.down:
            return  # what is dead already cannot break
        outage = Outage(pool=pool, replica=replica, kind=kind, at_s=at_s)
        self.log.append(outage)
        if kind == "straggler":
            condition.n_slow += 1
            self._lasts(outage, failures.straggler_s, "n_slow")
        elif kind == "nic" and failures.nic_failover:
            condition.n_dead_nics += 1
            self._lasts(outage, failures.repair_s, "n_dead_nics")
        else:
            condition.down, condition.back_s = True, inf
            self._units[pool].replicas[replica].halted = True
            self._at(at_s + failures.detection_s, pool, replica, partial(self._detected, outage))

    def _lasts(self, outage: Outage, seconds: float, count: str) -> None:
        """The replica goes on in worse condition for a while."""
        key = (outage.pool, outage.replica)
        outage.serves_s, outage.back_s = outage.at_s, outage.at_s + seconds
        self._pace(*key)

        def over(pool: str, replica: int, at_s: float) -> None:
            del at_s
            condition = self._conditions[key]
            setattr(condition, count, getattr(condition, count) - 1)
            self._pace(pool, replica)

        self._at(outage.back_s, *key, over)

    def _pace(self, pool: str, replica: int) -> None:
        condition, unit, failures = self._conditions[pool, replica], self._units[pool], self._failures
        n_groups = len(unit.replicas[replica].groups)
        unit.replicas[replica].step_times = unit.steps(
            condition.n_dead_nics > 0, 1.0 - len(condition.dead_groups) / n_groups,
            failures.straggler_slowdown if condition.n_slow else 1.0,
        )  # fmt: skip

    def _detected(self, outage: Outage, pool: str, replica: int, at_s: float) -> None:
        """The router knows, and the requests can leave."""
        unit, condition, failures = self._units[pool], self._conditions[pool, replica], self._failures
        it, n_groups = unit.replicas[replica], len(unit.replicas[replica].groups)
        dead = self._dead_groups(outage.kind, unit) | condition.dead_groups
        outage.serves_s = outage.back_s = self._node_free_s(at_s) + failures.restart_s + unit.load_s
        it.in_service, condition.back_s = False, outage.back_s
        if failures.then == "degraded" and outage.kind != "nic" and len(dead) < n_groups:
            condition.dead_groups = dead
            outage.capacity = 1.0 - len(dead) / n_groups
            left = it.leave_out(sorted(dead))
            it.use_groups([i for i in range(n_groups) if i not in dead])
            outage.serves_s = min(at_s + failures.reconfigure_s, outage.back_s)
            self._at(outage.serves_s, pool, replica, self._goes_on)
        else:
            left = it.leave_out(range(n_groups))
        self._at(outage.back_s, pool, replica, self._whole)
        outage.n_moved = len(left)
        self._left += left

    def _node_free_s(self, at_s: float) -> float:
        """A node that takes the dead one's place is there at [s]; the dead one is repaired, for the next."""
        heappush(self._spares_s, at_s + self._failures.repair_s)
        return max(at_s, heappop(self._spares_s))

    def _dead_groups(self, kind: Kind, unit: Unit) -> set[int]:
        device = int(self._rng.integers(unit.n_gpus))
        if kind != "node":
            return {device // unit.gpus_per_group}
        first = device // unit.gpus_per_node * unit.gpus_per_node
        return {gpu // unit.gpus_per_group for gpu in range(first, min(first + unit.gpus_per_node, unit.n_gpus))}

    def _goes_on(self, pool: str, replica: int, at_s: float) -> None:
        """A replica works with what is left of it."""
        del at_s
        self._conditions[pool, replica].down = False
        self._in_service(pool, replica)

    def _whole(self, pool: str, replica: int, at_s: float) -> None:
        """A replica is whole again, unless more of it has broken since."""
        condition, it = self._conditions[pool, replica], self._units[pool].replicas[replica]
        if at_s < condition.back_s:
            return
        condition.down, condition.dead_groups = False, set()
        it.use_groups(range(len(it.groups)))
        self._in_service(pool, replica)

    def _in_service(self, pool: str, replica: int) -> None:
        self._pace(pool, replica)
        it = self._units[pool].replicas[replica]
        it.halted, it.in_service = False, True
