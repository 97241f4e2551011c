"""What would change the answer: the same GPUs under other traffic, links, acceptance, imbalance and prices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from simulator.planner.listing import compared
from simulator.planner.load import Load
from simulator.planner.operating import Promise
from simulator.planner.question import Question
from simulator.planner.search import ROLES, search_among
from simulator.planner.settle import Settled
from simulator.planner.sizing import Plan, Pools, best_plan, smallest
from simulator.planner.space import Family
from simulator.planner.sureness import imbalance, rate_if_slower, step_at
from simulator.planner.workshop import Workshop

UNEVEN = "power_law:1.01"  # the popularity that fits DeepSeek-V3's experts (aiconfigurator)
_FIFTH = 0.2


@dataclass(frozen=True, kw_only=True)
class Change:
    """The best of the shortlisted families under one change. `worth`: requests per second, or users, of the same
    GPUs, `before` without it; `n_gpus`: what the wanted rate takes then (0: no rate was asked for, or none is enough),
    at `usd_per_hour`; `plan`: its name, `same`: whether its layouts are those of the answer."""

    change: str
    worth: float
    before: float
    n_gpus: int
    n_gpus_before: int
    usd_per_hour: float
    usd_per_hour_before: float
    plan: str
    same: bool


@dataclass(frozen=True, kw_only=True)
class Shortlist:
    """The families that may answer under a change, the pools they came from and the answer's own plan."""

    families: Sequence[Family]
    pools: Pools
    plan: Plan
    counts: Sequence[int]
    wanted: float


def changes(shop: Workshop, short: Shortlist, promise: Promise, names: Sequence[str]) -> list[Change]:
    """Return one row for each of these `variations`."""
    every, rows = _variations(shop.question, shop), list[Change]()
    for name in names:
        question, load = every[name](shop.question, shop.load)
        same_machine = question.machine_overrides == shop.question.machine_overrides
        other = Workshop(question, shop.machine, load, shop if same_machine else None)
        rows.append(_changed(name, other, short, promise, short.wanted))
    return rows


def variations(shop: Workshop) -> list[str]:
    """Return what `changes` can vary, by name."""
    return list(_variations(shop.question, shop))


def other_traffic(short: Shortlist) -> list[Change]:
    """Return a row for more, and fewer, requests or users; none where no rate was asked for."""
    parts = (("+", _FIFTH), ("−", -_FIFTH)) if short.wanted else ()
    return [_row(f"{sign} 20 % requests", short.pools, short, short.wanted * (1.0 + part)) for sign, part in parts]


Vary = Callable[[Question, Load], tuple[Question, Load]]


def _variations(question: Question, shop: Workshop) -> Mapping[str, Vary]:
    found: dict[str, Vary] = {}
    for sign, part in (("+", 1.0 + _FIFTH), ("−", 1.0 - _FIFTH)):
        found[f"{sign} 20 % prompt tokens"] = partial(_with_load, longer=_longer_prompts, part=part)
        found[f"{sign} 20 % answer tokens"] = partial(_with_load, longer=_longer_answers, part=part)
        found[f"{sign} 20 % link speed"] = partial(_faster_links, shop=shop, part=part)
        if question.traffic.mean_acceptance:
            found[f"{sign} 20 % acceptance"] = partial(_accepting, part=part)
    return found


def _with_load(
    question: Question, load: Load, *, longer: Callable[[Load, float], Load], part: float
) -> tuple[Question, Load]:
    return question, longer(load, part)


def _longer_prompts(load: Load, part: float) -> Load:
    more = load.prompt_tokens * (part - 1.0)
    return replace(
        load, prompt_tokens=load.prompt_tokens * part, cached_tokens=load.cached_tokens * part,
        context_tokens=load.context_tokens + more, longest_tokens=load.longest_tokens + more,
    )  # fmt: skip


def _longer_answers(load: Load, part: float) -> Load:
    more = load.decoded_tokens * (part - 1.0)
    return replace(load, decoded_tokens=load.decoded_tokens * part, context_tokens=load.context_tokens + more / 2.0,
                   longest_tokens=load.longest_tokens + more)  # fmt: skip


def _faster_links(question: Question, load: Load, *, shop: Workshop, part: float) -> tuple[Question, Load]:
    """All tiers: inside a node and between nodes."""
    tiers = shop.site.profile.tiers
    faster = {f"tiers.{name}.bytes_per_s": tier.bytes_per_s * part for name, tier in tiers.items()}
    return replace(question, machine_overrides={**question.machine_overrides, **faster}), load


def _accepting(question: Question, load: Load, *, part: float) -> tuple[Question, Load]:
    traffic = question.traffic
    acceptance = tuple(min(1.0, p * part) for p in traffic.mean_acceptance)
    ffn_experts = traffic.mean_ffn_experts
    return replace(question, traffic=replace(traffic, acceptance=acceptance, tasks={}, ffn_experts=ffn_experts)), load


def _changed(name: str, shop: Workshop, short: Shortlist, promise: Promise, wanted: float) -> Change:
    prefill, decode, together = (
        search_among(shop, [f for f in short.families if f.role == role], promise).best for role in ROLES
    )
    pools = replace(short.pools, load=shop.load, prefill=prefill, decode=decode, together=together)
    return _row(name, pools, short, wanted)


def _row(name: str, pools: Pools, short: Shortlist, wanted: float) -> Change:
    plan = best_plan(pools, short.plan.n_gpus)
    sized = smallest(pools, wanted, short.counts) if wanted else None
    return Change(
        change=name, worth=pools.worth(plan) if plan else 0.0, before=short.pools.worth(short.plan),
        n_gpus=sized.n_gpus if sized else 0, n_gpus_before=short.plan.n_gpus if short.wanted else 0,
        usd_per_hour=(sized or short.plan).usd_per_hour, usd_per_hour_before=short.plan.usd_per_hour,
        plan=plan.name if plan else "nothing serves", same=plan is not None and _layouts(plan) == _layouts(short.plan),
    )  # fmt: skip


def _layouts(plan: Plan) -> tuple[Family | None, Family]:
    return plan.prefill.family if plan.prefill else None, plan.decode.family


def uneven(shop: Workshop, short: Shortlist, promise: Promise) -> Change:
    """Return the row of the answer's own plan where experts are not equally popular."""
    plan = short.plan
    decode, prefill = (
        imbalance(shop, point.family, step_at(point, shop.load), UNEVEN) if point else 1.0
        for point in (plan.decode, plan.prefill)
    )
    rate = rate_if_slower(shop, plan, promise, decode=decode, prefill=prefill)
    before = short.pools.worth(plan)
    return Change(
        change=f"experts of popularity {UNEVEN}, placed as asked", worth=before * rate / plan.rate_per_s, before=before,
        n_gpus=0, n_gpus_before=0, usd_per_hour=plan.usd_per_hour, usd_per_hour_before=plan.usd_per_hour,
        plan=plan.name, same=True,
    )  # fmt: skip


def other_prices(options: Sequence[Settled], short: Shortlist, machines: Sequence[str]) -> list[Change]:
    """Return a row for each machine with GPUs dearer, and cheaper, by a fifth: which of the `options`, the recommended
    one first, costs least then."""
    rows = []
    for machine in machines:
        for sign, part in (("+", 1.0 + _FIFTH), ("−", 1.0 - _FIFTH)):
            relative = [_relative_usd(options[0], option, short.wanted, {machine: part}) for option in options]
            cheapest = options[relative.index(min(relative))]
            own = cheapest.plan.usd_per_hour * (part if cheapest.plan.machine == machine else 1.0)
            rows.append(Change(
                change=f"{sign} 20 % price of {machine}", worth=short.pools.worth(short.plan),
                before=short.pools.worth(short.plan), n_gpus=cheapest.plan.n_gpus if short.wanted else 0,
                n_gpus_before=short.plan.n_gpus if short.wanted else 0, usd_per_hour=own,
                usd_per_hour_before=short.plan.usd_per_hour, plan=f"{cheapest.plan.machine}: {cheapest.plan.name}",
                same=cheapest is options[0],
            ))  # fmt: skip
    return rows


def _relative_usd(best: Settled, option: Settled, wanted: float, prices: Mapping[str, float]) -> float:
    """Price of an option over that of the recommended one, with machines so many times as dear; infinite where its
    replays missed the targets."""
    if option.trials and not option.confirmed:
        return float("inf")
    usd = compared(best, option, wanted)
    return usd[1] / usd[0] * prices.get(option.plan.machine, 1.0)


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """At which price of a GPU of `machine` the best plan there costs what the answer costs, per hour with spares for a
    wanted rate, else per request; `now`: its price."""

    machine: str
    plan: Plan
    usd_per_gpu_hour: float
    now: float


def break_even(best: Settled, other: Settled, wanted: float) -> BreakEven:
    """Return the price at which `other`'s machine is as cheap as the answer's."""
    usd = compared(best, other, wanted)
    now = other.plan.usd_per_gpu_hour
    return BreakEven(machine=other.plan.machine, plan=other.plan, usd_per_gpu_hour=now * usd[0] / usd[1], now=now)
