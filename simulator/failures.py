"""Failures of hardware in a scenario: what breaks when, how it is noticed, and what becomes of the requests."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hw_profiles.faults import Fault

Kind = Literal["device", "node", "nic", "straggler"]
KINDS: tuple[Kind, ...] = ("device", "node", "nic", "straggler")
_AT_LEAST: Mapping[str, float] = {
    "detection_s": 0.0, "repair_s": 0.0, "restart_s": 0.0, "reconfigure_s": 0.0, "load_bytes_per_s": 1.0,
    "straggler_slowdown": 1.0, "straggler_s": 0.0, "n_spare_nodes": 0.0,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FailureEvent:
    """One failure: at `at_s` of the run, in replica number `replica` of a pool ("replicas": the only one, or those that
    decode)."""

    at_s: float
    kind: Kind
    replica: int = 0
    pool: Literal["replicas", "prefill"] = "replicas"


@dataclass(frozen=True, kw_only=True)
class Failures:
    """What breaks in a run. `events`: a schedule; `mtbf_hours`: of one device, node, NIC or straggling device, failures
    drawn by the scenario's seed as a Poisson process; none: never.

    A dead device or node stops the replica, whose ranks wait for one another. After `detection_s` the router knows: it
    sends nothing there, and the requests go elsewhere by `retry`: "continue" after the tokens that are out, "restart"
    from the prompt, or "lost". With `then` "down" the replica is back once a spare node, or the repaired one after
    `repair_s`, has started (`restart_s`) and loaded the weights (`load_bytes_per_s` per GPU). With "degraded" it goes
    on without the dead device's attention group (a node's groups) after `reconfigure_s`, until then.

    A dead NIC halves the NIC rate of the device that shares its neighbour's, for which all wait, until `repair_s` have
    passed; with `nic_failover` false the replica goes down. A straggler makes every step of its replica
    `straggler_slowdown` times as long for `straggler_s`. `availability_target`: share of the time in which as many
    replicas as the scenario has are to be up, for the spares that this takes.
    """

    events: Sequence[FailureEvent] = ()
    mtbf_hours: Mapping[Kind, float] = field(default_factory=dict)
    detection_s: float = 10.0
    repair_s: float = 14400.0
    restart_s: float = 60.0
    load_bytes_per_s: float = 2e9
    n_spare_nodes: int = 0
    then: Literal["down", "degraded"] = "down"
    reconfigure_s: float = 10.0
    retry: Literal["continue", "restart", "lost"] = "continue"
    nic_failover: bool = True
    straggler_slowdown: float = 1.5
    straggler_s: float = 600.0
    availability_target: float = 0.999

    @property
    def happen(self) -> bool:
        """Whether anything can break."""
        return bool(self.events or any(self.mtbf_hours.values()))


def check_failures(failures: Failures, *, n_replicas: Mapping[str, int]) -> Iterable[Fault]:
    """Yield what no run can have. `n_replicas`: of each pool by name."""
    for name, least in _AT_LEAST.items():
        value = getattr(failures, name)
        if not least <= value < math.inf:
            yield Fault(field=f"failures.{name}", got=f"{value:g}", allowed=f"{least:g} or more",
                        remedy="write a number in this range")  # fmt: skip
    if not 0.0 < failures.availability_target < 1.0:
        yield Fault(field="failures.availability_target", got=f"{failures.availability_target:g}",
                    allowed="above 0 and below 1", remedy="write a share of the time, such as 0.999")  # fmt: skip
    for kind, hours in failures.mtbf_hours.items():
        if not 0.0 <= hours < math.inf or 0.0 < hours < 1e-3:
            yield Fault(field=f"failures.mtbf_hours.{kind}", got=f"{hours:g}", allowed="0 (never), or 0.001 and more",
                        remedy="write the mean hours between failures of one of them")  # fmt: skip
    for position, event in enumerate(failures.events):
        where = f"failures.events[{position}]"
        if not 0.0 <= event.at_s < math.inf:
            yield Fault(field=f"{where}.at_s", got=f"{event.at_s:g}", allowed="0 or more",
                        remedy="write the seconds since the run began")  # fmt: skip
        there = n_replicas.get(event.pool, 0)
        if not 0 <= event.replica < there:
            allowed = f"0 to {there - 1} in the pool {event.pool}" if there else f"a pool: there is no {event.pool}"
            yield Fault(field=f"{where}.replica", got=str(event.replica), allowed=allowed,
                        remedy="replicas are counted from 0, within their pool")  # fmt: skip
