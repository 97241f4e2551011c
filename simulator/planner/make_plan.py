"""From a question to its answer: search on every machine, size, replay the best, and say what would change it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hw_profiles.faults import Fault, InputFaults
from simulator.planner.listing import ROLES_OF, Machine, cost, listed, requests_of, servings
from simulator.planner.load import Load, load_of
from simulator.planner.nearest import Miss, misses
from simulator.planner.operating import Promise
from simulator.planner.plan_answer import PlanAnswer
from simulator.planner.question import Question
from simulator.planner.question_checks import legal_counts
from simulator.planner.search import ROLES, Found, search
from simulator.planner.settle import Job, Settled, settle
from simulator.planner.sizing import Plan, Pools, best_plan
from simulator.planner.space import Role
from simulator.planner.surroundings import told
from simulator.planner.worker import Worker, worker
from simulator.planner.workshop import Tally, Workshop, promise_of

_ROUNDS = 3  # of replays
_RECKONED = 0.8  # of the reckoned rate that a replay leaves, of plans that were hit hardest


def make_plan(question: Question, *, n_workers: int | None = 1) -> PlanAnswer:
    """Return the answer; InputFaults where the question leaves no candidate. `n_workers`: processes (None: two where
    there are two processors); more than one need a main module that may be imported twice."""
    load = load_of(question)
    promise, wanted = promise_of(question), _wanted(question, load)
    with worker(n_workers) as beside:
        machines = [_searched(beside, question, machine, load, promise) for machine in question.machines]
        _check_for_no_candidates(question, machines)
        options = _options(beside, _Asked(question=question, load=load, wanted=wanted), machines)
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


def _searched(beside: Worker, question: Question, machine: str, load: Load, promise: Promise) -> Machine:
    shop = Workshop(question, machine, load)
    profile = shop.site.profile
    most = min(max(question.n_gpus, default=question.search.most_gpus), profile.fabric.max_devices)
    roles = [role for role in ROLES if any(role in ROLES_OF[kind] for kind in question.search.serving)]
    job = _SearchJob(question=question, machine=machine, load=load, promise=promise, most_gpus=most,
                     roles=[role for role in roles if role == "together"])  # fmt: skip
    of_both = beside.start(_search, job)
    found, n_steps = _search(replace(job, roles=[role for role in roles if role != "together"]), shop)
    others, n_others = of_both()
    found |= others
    pools = Pools(
        machine=machine, node=profile.node.n_devices, most_gpus=most, usd_per_gpu_hour=shop.usd_per_gpu_hour,
        load=load, users_think_s=question.traffic.think_s if question.traffic.users else None,
        **{role: found[role].best if role in found else [] for role in ("prefill", "decode", "together")},
    )  # fmt: skip
    counts = legal_counts(question, profile) or pools.counts(most)
    return Machine(shop=shop, found=found, pools=pools, counts=counts, n_steps=n_steps + n_others)


def _check_for_no_candidates(question: Question, machines: Sequence[Machine]) -> None:
    if servings(machines, question):
        return
    search = question.search
    asked = {name: list(getattr(search, name)) for name in ("ep", "attention_tp", "dense_tp", "n_draft", "schedules")}
    named = ", ".join(f"{name}={value}" for name, value in asked.items() if value)
    most = max(question.n_gpus, default=search.most_gpus)
    empty = [role for role in ROLES if all(role in m.found and not m.found[role].tally.n_candidates for m in machines)]
    raise InputFaults([Fault(
        field="search", got=f"no candidate for {' or '.join(empty)}: {named or 'all values'}, precisions="
        f"{list(search.precisions)}, redundant_experts={list(search.redundant_experts)} on at most {most} GPUs of "
        f"{', '.join(question.machines)}",
        allowed="sizes that divide the model's experts and heads and fill nodes, formats that the machine computes in, "
        "as many drafts as the model has heads for and traffic.acceptance says",
        remedy="leave keys of [search] out to try all that fit",
    )])  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Asked:
    question: Question
    load: Load
    wanted: float


def _options(beside: Worker, asked: _Asked, machines: Sequence[Machine]) -> list[Settled]:
    """All plans, the best by what they cost first. As many are replayed as the question says, then two more at a time
    while one that was not is cheaper than the best that was."""
    each, found = asked.question.search.confirmed, list[Settled]()
    waiting = listed(machines, asked.wanted)
    for _ in range(_ROUNDS if each else 0):
        found += beside.all_of(settle, [_job(asked, option.plan, machines) for option in waiting[:each]])
        waiting = waiting[each:]
        options = _ordered([*found, *waiting], asked.wanted)
        best = options[0] if options else None
        if best is None or not waiting or (best.confirmed and not _promises_more(waiting[0], best, asked.wanted)):
            return options
    return _ordered([*found, *waiting], asked.wanted)


def _promises_more(option: Settled, best: Settled, wanted: float) -> bool:
    """Whether a plan that nobody replayed is cheaper, by reckoning, than the best that was, by more than reckoning is
    usually off."""
    reckoning = 1.0 if wanted else _RECKONED
    return cost(option, wanted)[0] / reckoning < cost(best, wanted)[0]


def _job(asked: _Asked, plan: Plan, machines: Sequence[Machine]) -> Job:
    pools = next(m.pools for m in machines if m.shop.machine == plan.machine)
    return Job(
        question=asked.question, load=asked.load, plan=plan, wanted_per_s=requests_of(plan, pools, asked.wanted),
        most_gpus=pools.most_gpus, node=pools.node,
    )  # fmt: skip


def _ordered(options: Sequence[Settled], wanted: float) -> list[Settled]:
    """Confirmed plans first, then those that nobody replayed, then those that failed; each by what they cost."""

    def key(option: Settled) -> tuple[int, tuple[float, float]]:
        standing = 0 if option.confirmed else 1 if not option.trials else 2
        return standing, cost(option, wanted)

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
