"""How much of a plan's reckoned rate survives a replay: fewer requests, or more replicas, until every target is met.

Both seeds of a trial have to meet the targets; a rate is lowered, or the pool that misses grows, until they do.
"""

from dataclasses import dataclass, replace
from math import ceil

from simulator.planner.confirm import Confirmation, Rehearsal
from simulator.planner.load import Load
from simulator.planner.question import Question
from simulator.planner.sizing import Plan
from simulator.planner.spares import Spares, spares_of
from simulator.planner.workshop import Workshop

_STEP = 0.93  # by which a rate falls from trial to trial
_TRIALS = 10
_SEEDS = 2
_GROWTH = 0.05  # of the replicas of a pool that misses its target, at least one


@dataclass(frozen=True, kw_only=True)
class Settled:
    """A plan at the rate at which its replays meet the targets. `trials`: all replays, the last ones those that count;
    `confirmed`: whether they met them (false: none did, or nothing was replayed). `spares` of its pools."""

    plan: Plan
    rate_per_s: float
    confirmed: bool
    spares: tuple[Spares, ...]
    trials: tuple[Confirmation, ...] = ()

    @property
    def n_spare_gpus(self) -> int:
        """GPUs that stand by."""
        return sum(pool.n_gpus for pool in self.spares)

    @property
    def usd_per_hour_with_spares(self) -> float:
        """Price of all its GPUs, spare ones too."""
        return self.plan.usd_per_hour + self.n_spare_gpus * self.plan.usd_per_gpu_hour


@dataclass(frozen=True, kw_only=True)
class Job:
    """A plan to be settled, with all that a process of its own needs. `wanted_per_s`: the rate that it has to take (0:
    as much as it can); `most_gpus` it may grow to; `node` devices stand in a node."""

    question: Question
    load: Load
    plan: Plan
    wanted_per_s: float
    most_gpus: int
    node: int


def settle(job: Job) -> Settled:
    """Return the plan with the rate at which it was confirmed, or, for a wanted rate, with the replicas."""
    shop = Workshop(job.question, job.plan.machine, job.load)
    return _with_more_replicas(job, shop) if job.wanted_per_s else _with_fewer_requests(job, shop)


def _with_fewer_requests(job: Job, shop: Workshop) -> Settled:
    rehearsal, rate = Rehearsal(shop, job.plan), job.plan.rate_per_s
    trials, passed = list[Confirmation](), False
    for _ in range(_TRIALS):
        missed = trials[-1].seed if trials else 0
        found = _tried(rehearsal, rate, job.question.seed, missed_seed=missed, passed=passed)
        trials += found
        if found[-1].met:
            break
        passed |= len(found) > _SEEDS
        rate *= _STEP
    return _settled(shop, job.plan, rate, trials)


def _with_more_replicas(job: Job, shop: Workshop) -> Settled:
    plan, trials = job.plan, list[Confirmation]()
    for _ in range(_TRIALS):
        found = _tried(Rehearsal(shop, plan), job.wanted_per_s, job.question.seed)
        trials += found
        if found[-1].met:
            break
        grown = _grown(plan, found[-1], job.node)
        if grown.n_gpus > job.most_gpus:
            break
        plan = grown
    return _settled(shop, plan, job.wanted_per_s, trials)


def _settled(shop: Workshop, plan: Plan, rate_per_s: float, trials: list[Confirmation]) -> Settled:
    return Settled(plan=plan, rate_per_s=rate_per_s, confirmed=trials[-1].met, trials=tuple(trials),
                   spares=tuple(spares_of(shop, plan)))  # fmt: skip


def _tried(
    rehearsal: Rehearsal, rate_per_s: float, seed: int, *, missed_seed: int = 0, passed: bool = False
) -> list[Confirmation]:
    """Short replays, then long ones, until one misses: the seed that missed before first, and long ones alone where
    short ones have passed at more."""
    found: list[Confirmation] = []
    seeds = sorted((seed + number for number in range(1, _SEEDS + 1)), key=lambda own: own != missed_seed)
    for replay in (rehearsal.at,) if passed else (rehearsal.glance, rehearsal.at):
        for own in seeds:
            found.append(replay(rate_per_s, own))
            if not found[-1].met:
                return found
    return found


def _grown(plan: Plan, missed: Confirmation, node: int) -> Plan:
    """The plan with more replicas where it misses: for prompts where the first token is late, else for answers."""
    of_prompts = plan.prefill is not None and not {"tpot"} & set(missed.misses)
    n_prefill = plan.n_prefill + (max(1, round(_GROWTH * plan.n_prefill)) if of_prompts else 0)
    n_decode = plan.n_decode + (0 if of_prompts else max(1, round(_GROWTH * plan.n_decode)))
    grown = replace(plan, n_prefill=n_prefill, n_decode=n_decode)
    used = grown.n_used
    return replace(grown, n_gpus=used if used <= node else ceil(used / node) * node)
