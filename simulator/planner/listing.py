"""Which plans come into question, the cheapest for what is wanted first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from simulator.planner.question import Question, Serving
from simulator.planner.search import Found
from simulator.planner.settle import Settled
from simulator.planner.sizing import Plan, Pools, plans, smallest
from simulator.planner.space import Role
from simulator.planner.spares import spares_of
from simulator.planner.workshop import Workshop

ROLES_OF: Mapping[Serving, tuple[Role, ...]] = {"together": ("together",), "split": ("prefill", "decode")}
_MOST_LISTED = 8


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What was found on one machine."""

    shop: Workshop
    found: Mapping[Role, Found]
    pools: Pools
    counts: Sequence[int]
    n_steps: int


def listed(machines: Sequence[Machine], wanted: float) -> list[Settled]:
    """Return plans that nobody replayed, each pair of layouts once, by what they cost: for what is `wanted`, its spares
    included, or per request (wanted 0)."""
    found = [
        reckoned(machine, plan, wanted)
        for machine in machines
        for plan in (_enough(machine, wanted) if wanted else _filling(machine))
    ]
    return sorted(found, key=lambda option: cost(option, wanted))[:_MOST_LISTED]


def _enough(machine: Machine, wanted: float) -> Iterator[Plan]:
    """The smallest plan of each point, or pair of points, that takes enough."""
    for pools in _each_alone(machine.pools):
        if plan := smallest(pools, wanted, machine.counts):
            yield plan


def _each_alone(pools: Pools) -> Iterator[Pools]:
    yield from (replace(pools, together=[point], prefill=[], decode=[]) for point in pools.together)
    for prefill in pools.prefill:
        yield from (replace(pools, together=[], prefill=[prefill], decode=[decode]) for decode in pools.decode)


def _filling(machine: Machine) -> list[Plan]:
    unlike = {
        (plan.decode.family, plan.prefill.family if plan.prefill else None, plan.n_gpus): plan
        for n in machine.counts
        for plan in plans(machine.pools, n)
    }
    return list(unlike.values())


def reckoned(machine: Machine, plan: Plan, wanted: float) -> Settled:
    """Return a plan that nobody replayed, at the rate that is wanted of it or that it takes."""
    rate = requests_of(plan, machine.pools, wanted) or plan.rate_per_s
    return Settled(plan=plan, rate_per_s=rate, confirmed=False, spares=tuple(spares_of(machine.shop, plan)))


def requests_of(plan: Plan, pools: Pools, wanted: float) -> float:
    """Return the requests per second that a wanted amount is of this plan (0: nothing is wanted)."""
    return wanted / pools.worth(plan) * plan.rate_per_s if wanted else 0.0


def cost(option: Settled, wanted: float) -> tuple[float, float]:
    """Return USD per hour for what was wanted, spares included, or per request; then, of equals, what it takes."""
    if wanted:
        return option.usd_per_hour_with_spares, -option.plan.rate_per_s
    rate = option.rate_per_s
    return (option.plan.usd_per_hour / rate if rate else inf), -rate


def compared(best: Settled, other: Settled, wanted: float) -> tuple[float, float]:
    """Return what the recommended plan and another cost [USD per hour with spares, or per request], reckoned in the
    same way: a plan that nobody replayed is set against the other one's rate before replays."""
    if wanted or other.trials:
        return cost(best, wanted)[0], cost(other, wanted)[0]
    return best.plan.usd_per_hour / best.plan.rate_per_s, cost(other, wanted)[0]


def servings(machines: Sequence[Machine], question: Question) -> list[Serving]:
    """Return the ways of serving of which every role has a candidate on some machine."""
    return [
        serving
        for serving in question.search.serving
        if any(all(machine.found[role].tally.n_candidates for role in ROLES_OF[serving]) for machine in machines)
    ]
