"""What would change the answer: the same GPUs under other traffic, links, acceptance, imbalance and prices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from simulator.planner.load import Load
from simulator.planner.operating import Promise
from simulator.planner.question import Question
from simulator.planner.search import ROLES, search_among
from simulator.planner.sizing import Plan, Pools, best_plan, smallest
from simulator.planner.space import Family
from simulator.planner.sureness import imbalance, rate_if_slower
from simulator.planner.workshop import Workshop
from simulator.serving.step_times import StepBatch

UNEVEN = "power_law:1.01"  # the popularity that fits DeepSeek-V3's experts (aiconfigurator)
_FIFTH = 0.2


@dataclass(frozen=True, kw_only=True)
class Change:
    """The best of the shortlisted families under one change. `worth`: requests per second, or users, of the same
    GPUs, `before` without it; `n_gpus`: what the wanted rate takes then (0: no rate was asked for, or none is enough);
    `plan`: its name, `same`: whether its layouts are those of the answer."""

    change: str
    worth: float
    before: float
    n_gpus: int
    n_gpus_before: int
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


def changes(shop: Workshop, short: Shortlist, promise: Promise) -> list[Change]:
    """Return one row for each change."""
    rows = []
    for name, vary in _variations(shop.question, shop).items():
        question, load = vary(shop.question, shop.load)
        same_machine = question.machine_overrides == shop.question.machine_overrides
        other = Workshop(question, shop.machine, load, shop if same_machine else None)
        rows.append(_changed(name, other, short, promise, short.wanted))
    if short.wanted:
        rows += [
            _traffic_row(f"{sign} 20 % requests", short, short.wanted * (1.0 + part))
            for sign, part in (("+", _FIFTH), ("−", -_FIFTH))
        ]
    return [*rows, _uneven(shop, short, promise)]


Vary = Callable[[Question, Load], tuple[Question, Load]]


def _variations(question: Question, shop: Workshop) -> Mapping[str, Vary]:
    found: dict[str, Vary] = {
        "+ 20 % prompt tokens": lambda q, load: (q, _longer_prompts(load, 1.0 + _FIFTH)),
        "+ 20 % answer tokens": lambda q, load: (q, _longer_answers(load, 1.0 + _FIFTH)),
    }
    for sign, part in (("+", 1.0 + _FIFTH), ("−", 1.0 - _FIFTH)):
        if "nic" in shop.site.profile.tiers:
            found[f"{sign} 20 % NIC speed"] = partial(_faster_nic, shop=shop, part=part)
        if question.traffic.mean_acceptance:
            found[f"{sign} 20 % acceptance"] = partial(_accepting, part=part)
    return found


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


def _faster_nic(question: Question, load: Load, *, shop: Workshop, part: float) -> tuple[Question, Load]:
    key, nic = "tiers.nic.bytes_per_s", shop.site.profile.tiers["nic"]
    overrides = {**question.machine_overrides, key: nic.bytes_per_s * part}
    return replace(question, machine_overrides=overrides), load


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
        plan=plan.name if plan else "nothing serves", same=plan is not None and _layouts(plan) == _layouts(short.plan),
    )  # fmt: skip


def _traffic_row(name: str, short: Shortlist, wanted: float) -> Change:
    return _row(name, short.pools, short, wanted)


def _layouts(plan: Plan) -> tuple[Family | None, Family]:
    return plan.prefill.family if plan.prefill else None, plan.decode.family


def _uneven(shop: Workshop, short: Shortlist, promise: Promise) -> Change:
    """The answer's own plan where experts are not equally popular."""
    plan, load = short.plan, shop.load
    family = plan.decode.family
    n = max(1, round(plan.decode.sequences)) * family.n_groups
    decode = StepBatch(n_decode=n, decode_context_tokens=round(n * load.context_tokens))
    slower = imbalance(shop, family, decode, UNEVEN)
    of_prompts = 1.0
    if plan.prefill:
        chunk = (max(1, round(min(load.new_tokens, plan.prefill.family.prefill_tokens))), 0)
        prompts = StepBatch(n_decode=0, decode_context_tokens=0, prefills=(chunk,) * plan.prefill.family.n_groups)
        of_prompts = imbalance(shop, plan.prefill.family, prompts, UNEVEN)
    rate = rate_if_slower(shop, plan, promise, decode=slower, prefill=of_prompts)
    before = short.pools.worth(plan)
    return Change(
        change=f"experts of popularity {UNEVEN}, placed as asked", worth=before * rate / plan.rate_per_s, before=before,
        n_gpus=0, n_gpus_before=0, plan=plan.name, same=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """At which price of a GPU of `machine` the best plan there costs what the answer costs, per hour for a wanted
    rate, else per request; `now`: its price."""

    machine: str
    plan: Plan
    usd_per_gpu_hour: float
    now: float


def break_even(answer: Plan, other: Plan, *, per_hour: bool) -> BreakEven:
    """Return the price at which `other`'s machine is as cheap as the answer's."""
    cost = answer.usd_per_hour if per_hour else answer.usd_per_hour / answer.rate_per_s * other.rate_per_s
    return BreakEven(machine=other.machine, plan=other, usd_per_gpu_hour=cost / other.n_gpus,
                     now=other.usd_per_gpu_hour)  # fmt: skip
