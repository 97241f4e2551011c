"""The Pareto front of a machine: tokens/s/GPU against tokens/s/user, over TPOT targets around the one asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from simulator.planner.operating import Point, Promise
from simulator.planner.sizing import Plan, Pools, best_plan
from simulator.planner.space import Family
from simulator.planner.workshop import Workshop

_LEVELS = (0.35, 0.5, 0.7, 1.0, 1.5)  # of the TPOT asked for
_ANY_TPOT_S = 0.05  # around which a front is drawn where no TPOT is asked for


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """The best plan on so many GPUs under one TPOT target; `on_front`: no other is better in both."""

    plan: Plan
    tpot_target_s: float
    tokens_per_s_per_user: float
    tokens_per_s_per_gpu: float
    on_front: bool


def front(shop: Workshop, pools: Pools, families: Sequence[Family], promise: Promise, n_gpus: int) -> list[FrontPoint]:
    """Return the best plans of these families on `n_gpus` under each TPOT target, the fastest for a user first."""
    asked = promise.tpot_s if promise.tpot_s < float("inf") else _ANY_TPOT_S
    found: list[FrontPoint] = []
    for level in _LEVELS:
        at = replace(promise, tpot_s=asked * level)
        points = [shop.replica(family).point(at) for family in families]
        serving = [point for point in points if isinstance(point, Point)]
        own = replace(
            pools,
            decode=[point for point in serving if point.family.role == "decode"],
            together=[point for point in serving if point.family.role == "together"],
        )
        plan = best_plan(own, n_gpus)
        if plan is not None:
            found.append(_front_point(shop, plan, at.tpot_s, n_gpus))
    return [replace(point, on_front=not any(_beats(other, point) for other in found)) for point in found]


def _front_point(shop: Workshop, plan: Plan, target_s: float, n_gpus: int) -> FrontPoint:
    answer_tokens = shop.load.decoded_tokens + 1.0
    return FrontPoint(
        plan=plan, tpot_target_s=target_s, tokens_per_s_per_user=1.0 / plan.decode.tpot_s,
        tokens_per_s_per_gpu=plan.rate_per_s * answer_tokens / n_gpus, on_front=True,
    )  # fmt: skip


def _beats(one: FrontPoint, other: FrontPoint) -> bool:
    mine, others = _rates(one), _rates(other)
    return mine != others and all(a >= b for a, b in zip(mine, others, strict=True))


def _rates(point: FrontPoint) -> tuple[float, float]:
    return point.tokens_per_s_per_user, point.tokens_per_s_per_gpu
