"""What surrounds a recommended plan: how sure it is, its front, what would change it, spares, neighbours, commands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from simulator.planner.continuity import counted
from simulator.planner.front import front
from simulator.planner.launch import launches
from simulator.planner.listing import Machine
from simulator.planner.load import Load
from simulator.planner.operating import Promise
from simulator.planner.plan_answer import PlanAnswer
from simulator.planner.plan_scenarios import tables_of, toml_of
from simulator.planner.question import Question
from simulator.planner.sensitivity import (
    Change,
    Shortlist,
    break_even,
    changes,
    other_prices,
    other_traffic,
    uneven,
    variations,
)
from simulator.planner.settle import Settled
from simulator.planner.sizing import Plan, Pools
from simulator.planner.space import Family, Role
from simulator.planner.sureness import Sureness, rate_if_slower, sureness
from simulator.planner.worker import Worker
from simulator.planner.workshop import Workshop

_MOST_COUNTS = 64
_ELSEWHERE = 0.3  # of the variations: the other process has uneven experts beside them


@dataclass(frozen=True, kw_only=True)
class _ChangesJob:
    question: Question
    load: Load
    short: Shortlist
    promise: Promise
    names: Sequence[str]


def _changes(job: _ChangesJob) -> list[Change]:
    """Some variations, and uneven experts, which take as long as several."""
    shop = Workshop(job.question, job.short.plan.machine, job.load)
    return [*changes(shop, job.short, job.promise, job.names), uneven(shop, job.short, job.promise)]


def told(beside: Worker, answer: PlanAnswer, machines: Sequence[Machine], promise: Promise) -> PlanAnswer:
    """The answer with what surrounds its recommended plan."""
    best = answer.best
    assert best is not None
    plan, question = best.plan, answer.question
    machine = next(m for m in machines if m.shop.machine == plan.machine)
    short = Shortlist(families=_shortlist(plan, machine), pools=machine.pools, plan=plan,
                      counts=machine.counts, wanted=answer.wanted)  # fmt: skip
    shop, pools = machine.shop, machine.pools
    names = variations(shop)
    elsewhere = names[: round(_ELSEWHERE * len(names))]
    told = beside.start(_changes, _ChangesJob(question=question, load=answer.load, short=short, promise=promise,
                                              names=elsewhere))  # fmt: skip
    points = {"prefill": plan.prefill, "decode": plan.decode} if plan.prefill else {"replicas": plan.decode}
    sure = {name: sureness(shop, point) for name, point in points.items() if point}
    others = [option for option in answer.options if option.plan.machine != plan.machine]
    first_elsewhere = {other.plan.machine: other for other in reversed(others)}
    tables = tables_of(question, plan)
    here = changes(shop, short, promise, names[len(elsewhere) :])
    return replace(
        answer,
        sure=sure,
        worth_of_rate=pools.worth(plan) / plan.rate_per_s,
        interval=_interval(shop, best, sure, promise, answer),
        front=front(shop, pools, _answering(machine), promise, plan.n_gpus),
        break_evens=[break_even(best, other, answer.wanted) for other in first_elsewhere.values()],
        counts=counted(pools, _neighbours(pools, plan.n_gpus)),
        launches=launches(plan, shop.site.model_spec, question.model, pools.node),
        scenario=toml_of(tables),
        changes=[
            *here, *told(), *other_traffic(short), *other_prices(answer.options, short, question.machines),
        ],
    )  # fmt: skip


def _shortlist(plan: Plan, machine: Machine) -> list[Family]:
    """The answer's own families and, of each of their roles, the best one per GPU beside them."""
    own = [plan.decode.family, *([plan.prefill.family] if plan.prefill else [])]
    for found in [machine.found[family.role] for family in own]:
        others = [point for point in found.points if point.family not in own]
        own += [max(others, key=lambda p: p.rate_per_s / p.family.n_gpus).family] if others else []
    return own


def _answering(machine: Machine) -> list[Family]:
    """The best families of each size that answer."""
    roles: tuple[Role, ...] = ("decode", "together")
    return [point.family for role in roles if role in machine.found for point in machine.found[role].best]


def _interval(
    shop: Workshop, best: Settled, sure: Mapping[str, Sureness], promise: Promise, answer: PlanAnswer
) -> dict[str, tuple[float, float]]:
    """10-90 %: with steps as slow, and as fast, as their intervals say, both pools alike."""
    from_steps = {name: (s.low, s.high) for name, s in sure.items()}
    decode = from_steps.get("decode") or from_steps["replicas"]
    prefill = from_steps.get("prefill", decode)
    fast = rate_if_slower(shop, best.plan, promise, decode=decode[0], prefill=prefill[0])
    slow = rate_if_slower(shop, best.plan, promise, decode=decode[1], prefill=prefill[1])
    part = 1.0 if answer.wanted else best.rate_per_s / best.plan.rate_per_s
    usd, tpot = answer.usd_per_million(best), best.plan.decode.tpot_s
    rates = (slow * part, fast * part)
    found = {"rate_per_s": rates, "tpot_s": (tpot * decode[0], tpot * decode[1])}
    sold = [min(rate, best.rate_per_s) if answer.wanted else rate for rate in reversed(rates)]
    prices = tuple(usd * best.rate_per_s / rate if rate else inf for rate in sold)
    return {**found, "usd_per_million_output_tokens": (prices[0], prices[1])}


def _neighbours(pools: Pools, n_gpus: int) -> list[int]:
    """Counts up to twice the answer's, at most so many."""
    counts = pools.counts(min(2 * n_gpus, pools.most_gpus))
    return counts[:: max(1, -(-len(counts) // _MOST_COUNTS))]
