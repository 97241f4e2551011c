"""How sure a plan is: the 10-90 % intervals of its steps, and the rates that follow from steps so much slower."""

from dataclasses import dataclass, replace

from simulator.critical_path import critical_path, shares
from simulator.evaluate import run_step
from simulator.intervals import step_interval_s
from simulator.planner.load import Load
from simulator.planner.operating import Point, Promise
from simulator.planner.sizing import Plan
from simulator.planner.space import Family
from simulator.planner.workshop import Workshop
from simulator.serving.simulated_steps import SimulatedStepTimes, step_of
from simulator.serving.step_times import StepBatch


@dataclass(frozen=True, kw_only=True)
class Sureness:
    """A step of one pool at its point. `low`, `high`: 10 and 90 % quantiles of its time over the time itself;
    `bound_by`, `by_source`: shares of its critical path."""

    seconds: float
    low: float
    high: float
    bound_by: dict[str, float]
    by_source: dict[str, float]


def sureness(shop: Workshop, point: Point) -> Sureness:
    """Return how sure the step of a point is: a decode step, or a full step of prompts."""
    family, batch = point.family, step_at(point, shop.load)
    simulated = SimulatedStepTimes(shop.scenario(family))
    scenario = simulated.scenario_of(batch)
    run = run_step(scenario, step_of(scenario, batch), known=shop.known_costs)
    path, seconds = critical_path(run), float(run.times.end_OC.max())
    low_s, high_s = step_interval_s(run, path, seed=shop.question.seed)
    return Sureness(seconds=seconds, low=low_s / seconds, high=high_s / seconds, bound_by=dict(shares(path, "bound")),
                    by_source=dict(shares(path, "source")))  # fmt: skip


def step_at(point: Point, load: Load) -> StepBatch:
    """Return the step that a replica runs at its point: of decodes, or as full of prompts as it is there."""
    family = point.family
    if family.role == "prefill":
        new = max(1, round(min(load.new_tokens, family.prefill_tokens)))
        n = max(1, round(point.prompts_per_step))
        return StepBatch(n_decode=0, decode_context_tokens=0, prefills=((new, round(load.cached_tokens)),) * n)
    n = max(1, round(point.sequences)) * family.n_groups
    return StepBatch(n_decode=n, decode_context_tokens=round(n * load.context_tokens))


def rate_if_slower(shop: Workshop, plan: Plan, promise: Promise, *, decode: float, prefill: float) -> float:
    """Return the requests per second that a plan takes when its steps take so many times as long (0: none at all)."""
    answers = _rate(shop, plan.decode, promise, decode) * plan.n_decode
    if plan.prefill is None:
        return answers
    return min(answers, _rate(shop, plan.prefill, promise, prefill) * plan.n_prefill)


def _rate(shop: Workshop, point: Point, promise: Promise, slower: float) -> float:
    found = shop.replica(point.family, first=max(1, point.most_sequences), slower=slower).point(promise)
    return found.rate_per_s if isinstance(found, Point) else 0.0


def imbalance(shop: Workshop, family: Family, batch: StepBatch, popularity: str) -> float:
    """Return how many times as long one step takes when experts are as popular as that."""
    scenario = shop.scenario(family)
    uneven = scenario.variant(routing=replace(scenario.routing, popularity=popularity))
    seconds = SimulatedStepTimes(uneven).seconds(batch)
    return seconds / shop.times(family).seconds(batch)
