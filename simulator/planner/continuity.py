"""Neighbouring GPU counts: what each takes at best, and why it takes more or less per GPU than the count before."""

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.planner.sizing import Plan, Pools, best_plan

_JUMP = 0.05  # relative change of requests per second and GPU from one count to the next that wants a cause
NO_CAUSE = "unexplained"


@dataclass(frozen=True, kw_only=True)
class Count:
    """The best plan on `n_gpus` (None: nothing serves). `worth_per_gpu`: requests per second, or users, per GPU;
    `jump`: its relative change from the count before (0 at the first), `cause`: why, where that is a jump."""

    n_gpus: int
    plan: Plan | None
    worth: float
    worth_per_gpu: float
    jump: float = 0.0
    cause: str = ""


def counted(pools: Pools, counts: Sequence[int]) -> list[Count]:
    """Return one row for each of the rising counts."""
    rows: list[Count] = []
    for n_gpus in counts:
        plan = best_plan(pools, n_gpus)
        worth = pools.worth(plan) if plan else 0.0
        before = rows[-1] if rows else None
        jump, cause = _change(before, plan, n_gpus, worth / n_gpus)
        rows.append(Count(n_gpus=n_gpus, plan=plan, worth=worth, worth_per_gpu=worth / n_gpus, jump=jump, cause=cause))
    return rows


def _change(before: Count | None, plan: Plan | None, n_gpus: int, per_gpu: float) -> tuple[float, str]:
    if before is None or plan is None:
        return 0.0, ""
    if before.plan is None:
        return float("inf"), "memory: the first count that holds the model and meets the targets"
    jump = per_gpu / before.worth_per_gpu - 1.0
    return jump, _cause(before.plan, plan, n_gpus) if abs(jump) > _JUMP else ""


def _cause(before: Plan, plan: Plan, n_gpus: int) -> str:
    """What physically differs between two best plans."""
    if before.serving != plan.serving:
        return f"prompts and answers {plan.serving} from here on: {_shares(plan)}, before {_shares(before)}"
    causes = []
    if before.decode.family != plan.decode.family:
        own, other = plan.decode.family.n_gpus, before.decode.family.n_gpus
        grows = f"answers on replicas of {own} in place of {other} GPUs"
        causes.append(grows if own != other else f"another layout for answers: {plan.decode.family.name}")
    if plan.prefill and before.prefill and before.prefill.family != plan.prefill.family:
        causes.append(f"another layout for prompts: {plan.prefill.family.name}")
    if _shares(before) != _shares(plan) or plan.n_used < n_gpus:
        n_idle = n_gpus - plan.n_used
        idle = f", {n_idle} GPU{'s' if n_idle > 1 else ''} idle" if n_idle > 0 else ""
        causes.append(f"whole replicas: {_shares(plan)}{idle}, before {_shares(before)}")
    return "; ".join(causes) or NO_CAUSE


def _shares(plan: Plan) -> str:
    """Replicas of each pool with their GPUs."""
    decode = f"{plan.n_decode} × {plan.decode.family.n_gpus} GPUs"
    if plan.prefill is None:
        return f"{decode} for both"
    return f"{plan.n_prefill} × {plan.prefill.family.n_gpus} for prompts and {decode} for answers"
