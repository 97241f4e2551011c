"""From a question to its answer: search on every machine, size, replay the best, and say what would change it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from hw_profiles.faults import Fault, InputFaults
from simulator.planner.helper import Helper, helper
from simulator.planner.load import Load, load_of
from simulator.planner.nearest import Miss, misses
from simulator.planner.operating import Promise
from simulator.planner.plan_answer import PlanAnswer
from simulator.planner.question import Question, Serving
from simulator.planner.search import ROLES, Found, search
from simulator.planner.settle import Job, Settled, settle
from simulator.planner.sizing import Plan, Pools, best_plan, plans, smallest
from simulator.planner.space import Role
from simulator.planner.surroundings import Machine, told
from simulator.planner.workshop import Tally, Workshop, promise_of

_ROLES_OF: Mapping[Serving, tuple[Role, ...]] = {"together": ("together",), "split": ("prefill", "decode")}
_MOST_LISTED = 8
_ROUNDS = 3  # of replays
_RECKONED = 0.8  # of the reckoned rate that a replay leaves, of plans that were hit hardest


def make_plan(question: Question, *, n_workers: int | None = None) -> PlanAnswer:
    """Return the answer; InputFaults where the question leaves no candidate. `n_workers`: processes (None: two where
    there are two processors)."""
    load = load_of(question)
    promise, wanted = promise_of(question), _wanted(question, load)
    with helper(n_workers) as beside:
        machines = [_searched(beside, question, machine, load, promise) for machine in question.machines]
        _check_for_no_candidates(question, machines)
        listed = _listed(machines, question, wanted)
        options = _options(beside, _Asked(question=question, load=load, wanted=wanted), listed, machines)
        answer = PlanAnswer(
            question=question, load=load, wanted=wanted, options=options, misses=_misses(machines, promise, wanted),
            tally=sum((f.tally for m in machines for f in m.found.values()), Tally()),
            n_steps=sum(machine.n_steps for machine in machines),
        )  # fmt: skip
        if answer.best is None:
            return answer
        return told(beside, answer, machines, promise)


def _wanted(question: Question, load: Load) -> float:
    traffic = question.traffic
    return traffic.requests_per_s or float(traffic.users) or (0.0 if question.n_gpus else load.rate_per_s)


@dataclass(frozen=True, kw_only=True)
class _SearchJob:
    question: Question
    machine: str
    load: Load
    promise: Promise
    roles: Sequence[Role]
    most_gpus: int


def _search(job: _SearchJob, shop: Workshop | None = None) -> tuple[dict[Role, Found], int]:
    """What is found of each role, and how many steps were simulated for it."""
    shop = shop or Workshop(job.question, job.machine, job.load)
    found = {role: search(shop, role, job.promise, job.most_gpus) for role in job.roles}
    return found, shop.n_steps


def _searched(beside: Helper, question: Question, machine: str, load: Load, promise: Promise) -> Machine:
    shop = Workshop(question, machine, load)
    profile = shop.site.profile
    most = min(max(question.n_gpus, default=question.search.most_gpus), profile.fabric.max_devices)
    roles = [role for role in ROLES if any(role in _ROLES_OF[kind] for kind in question.search.serving)]
    job = _SearchJob(question=question, machine=machine, load=load, promise=promise, most_gpus=most,
                     roles=[role for role in roles if role != "decode"])  # fmt: skip
    with_prompts = beside.start(_search, job)
    found, n_steps = _search(replace(job, roles=[role for role in roles if role == "decode"]), shop)
    others, n_others = with_prompts()
    found |= others
    pools = Pools(
        machine=machine, node=profile.node.n_devices, most_gpus=most, usd_per_gpu_hour=shop.usd_per_gpu_hour,
        load=load, users_think_s=question.traffic.think_s if question.traffic.users else None,
        **{role: found[role].best if role in found else [] for role in ("prefill", "decode", "together")},
    )  # fmt: skip
    counts = [n for n in sorted(set(question.n_gpus)) if n <= most] or pools.counts(most)
    return Machine(shop=shop, found=found, pools=pools, counts=counts, n_steps=n_steps + n_others)


def _check_for_no_candidates(question: Question, machines: Sequence[Machine]) -> None:
    if any(f.tally.n_candidates for machine in machines for f in machine.found.values()):
        return
    search = question.search
    asked = {name: list(getattr(search, name)) for name in ("ep", "attention_tp", "dense_tp", "n_draft", "schedules")}
    named = ", ".join(f"{name}={value}" for name, value in asked.items() if value)
    most = max(question.n_gpus, default=search.most_gpus)
    raise InputFaults([Fault(
        field="search", got=f"no candidate: {named or 'all values'}, precisions={list(search.precisions)}, "
        f"redundant_experts={list(search.redundant_experts)} on at most {most} GPUs of {', '.join(question.machines)}",
        allowed="sizes that divide the model's experts and heads and fill nodes, formats that the machine computes in",
        remedy="leave keys of [search] out to try all that fit",
    )])  # fmt: skip


def _listed(machines: Sequence[Machine], question: Question, wanted: float) -> list[Plan]:
    """Plans by what they cost for what was asked, each pair of layouts once."""
    found: list[Plan] = []
    for machine in machines:
        for pools in _one_serving_each(machine.pools):
            for n in _sizes(pools, machine.counts, wanted):
                found += sorted(plans(pools, n), key=lambda plan: _cost(plan, machine.pools, wanted))[:_MOST_LISTED]
    found.sort(key=lambda plan: _cost(plan, _pools_of(machines, plan), wanted))
    unlike: dict[tuple[object, ...], Plan] = {}
    for plan in found:
        key = (plan.machine, plan.decode.family, plan.prefill.family if plan.prefill else None)
        unlike.setdefault(key if wanted else (*key, plan.n_gpus), plan)
    return list(unlike.values())[:_MOST_LISTED]


def _one_serving_each(pools: Pools) -> list[Pools]:
    return [replace(pools, together=[]), replace(pools, prefill=[], decode=[])]


def _sizes(pools: Pools, counts: Sequence[int], wanted: float) -> Sequence[int]:
    if not wanted:
        return counts
    plan = smallest(pools, wanted, counts)
    return [plan.n_gpus] if plan else []


def _pools_of(machines: Sequence[Machine], plan: Plan) -> Pools:
    return next(m.pools for m in machines if m.shop.machine == plan.machine)


def _cost(plan: Plan, pools: Pools, wanted: float) -> tuple[float, float]:
    """USD per hour for what was wanted (inf where it is too little), or per unit of what it takes; then worth."""
    worth = pools.worth(plan)
    if wanted:
        enough = worth >= wanted * (1.0 - 1e-9)
        return (plan.usd_per_hour if enough else inf), -worth
    return plan.usd_per_hour / worth, -worth


@dataclass(frozen=True, kw_only=True)
class _Asked:
    question: Question
    load: Load
    wanted: float


def _options(beside: Helper, asked: _Asked, listed: Sequence[Plan], machines: Sequence[Machine]) -> list[Settled]:
    """All plans, the best by what they cost first. As many are replayed as the question says, then two more at a time
    while one that was not is cheaper than the best that was."""
    each, found = asked.question.search.confirmed, list[Settled]()
    waiting = list(listed)
    for _ in range(_ROUNDS if each else 0):
        found += beside.all_of(settle, [_job(asked, plan, machines) for plan in waiting[:each]])
        waiting = waiting[each:]
        options = _ordered([*found, *_not_replayed(waiting, machines, asked.wanted)], asked.wanted)
        best = options[0] if options else None
        if best is None or not waiting or (best.confirmed and not _promises_more(waiting[0], best, asked.wanted)):
            return options
    return _ordered([*found, *_not_replayed(waiting, machines, asked.wanted)], asked.wanted)


def _promises_more(plan: Plan, best: Settled, wanted: float) -> bool:
    """Whether a plan that nobody replayed is cheaper, by reckoning, than the best that was, by more than reckoning is
    usually off."""
    if wanted:
        return plan.usd_per_hour < best.plan.usd_per_hour
    per_request = best.plan.usd_per_hour / best.rate_per_s
    return plan.usd_per_hour / plan.rate_per_s / _RECKONED < per_request


def _job(asked: _Asked, plan: Plan, machines: Sequence[Machine]) -> Job:
    pools = _pools_of(machines, plan)
    return Job(
        question=asked.question, load=asked.load, plan=plan, wanted_per_s=_requests(plan, pools, asked.wanted),
        most_gpus=pools.most_gpus, node=pools.node,
    )  # fmt: skip


def _requests(plan: Plan, pools: Pools, wanted: float) -> float:
    """Requests per second that a wanted amount is of this plan (0: nothing is wanted)."""
    return wanted / pools.worth(plan) * plan.rate_per_s if wanted else 0.0


def _not_replayed(found: Sequence[Plan], machines: Sequence[Machine], wanted: float) -> list[Settled]:
    return [
        Settled(plan=plan, rate_per_s=_requests(plan, _pools_of(machines, plan), wanted) or plan.rate_per_s,
                confirmed=False)
        for plan in found
    ]  # fmt: skip


def _ordered(options: Sequence[Settled], wanted: float) -> list[Settled]:
    """Confirmed plans first, then those that nobody replayed, then those that failed; each by what they cost."""

    def key(option: Settled) -> tuple[int, float, float]:
        standing = 0 if option.confirmed else 1 if not option.trials else 2
        cost = option.plan.usd_per_hour if wanted else option.plan.usd_per_hour / option.rate_per_s
        return standing, cost, -option.plan.rate_per_s

    return sorted(options, key=key)


def _misses(machines: Sequence[Machine], promise: Promise, wanted: float) -> list[Miss]:
    """Why a machine serves nothing, or not as much as was wanted."""
    rows: list[Miss] = []
    for machine in machines:
        most = machine.counts[-1]
        plan = best_plan(machine.pools, most)
        if plan is None:
            rows += misses(machine.shop, machine.found, promise, most)
        elif wanted and machine.pools.worth(plan) < wanted * (1.0 - 1e-9):
            rows.append(Miss(machine=machine.shop.machine, target="rate", reaches=machine.pools.worth(plan),
                             allowed=wanted, by=plan.name, n_gpus=plan.n_gpus))  # fmt: skip
    return rows
