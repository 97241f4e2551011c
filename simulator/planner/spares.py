"""Spares: how many failure units stand by so that all that the load needs is up.

The law is that of replays (simulator/availability.py): units fail on their own and come back after the same time in the
mean; in the long run the number of them that are up is binomial.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from simulator.availability import at_least, down_s, failures_per_hour
from simulator.planner.question import HOUR_S, Failures
from simulator.planner.sizing import Plan
from simulator.planner.space import Family
from simulator.planner.workshop import Workshop
from workloads.memory import weight_items

_MOST = 1000  # spare units of all pools


@dataclass(frozen=True, kw_only=True)
class Spares:
    """Spares of one pool. `n_needed` units of `unit_gpus`; each fails every `unit_mtbf_s` and is back after `back_s`;
    `unit_up`: share of the time it is up; `n_spare`: units beside, with which the pool has all it needs for
    `availability` of the time; `without`: the same without any."""

    pool: str
    unit_gpus: int
    n_needed: int
    unit_mtbf_s: float
    back_s: float
    unit_up: float
    n_spare: int
    availability: float
    without: float

    @property
    def n_gpus(self) -> int:
        """GPUs that stand by."""
        return self.n_spare * self.unit_gpus


def spares_of(shop: Workshop, plan: Plan) -> list[Spares]:
    """Return the spares of each pool of a plan, so that all of them together have what they need."""
    pools = [("prefill", plan.prefill, plan.n_prefill)] if plan.prefill else []
    pools.append(("decode" if plan.prefill else "replicas", plan.decode, plan.n_decode))
    bare = [_bare(shop, name, point.family, n) for name, point, n in pools if point is not None]
    return with_spares(bare, shop.question.failures.availability_target)


def _bare(shop: Workshop, pool: str, family: Family, n_replicas: int) -> Spares:
    failures, node = shop.question.failures, shop.site.profile.node.n_devices
    unit_gpus = {"replica": family.n_gpus, "node": min(node, family.n_gpus), "device": family.layout.attention_tp}
    unit = unit_gpus[failures.unit]
    weight_bytes = sum(weight_items(shop.scenario(family).step).values())
    return without_spares(pool, failures, unit_gpus=unit, n_needed=-(-n_replicas * family.n_gpus // unit),
                          gpus_per_node=node, weight_bytes=weight_bytes)  # fmt: skip


def without_spares(
    pool: str, failures: Failures, *, unit_gpus: int, n_needed: int, gpus_per_node: int, weight_bytes: float
) -> Spares:
    """Return a pool of `n_needed` units with `weight_bytes` of weights on each GPU and no spare."""
    law = failures.law
    per_hour = failures_per_hour(law, n_gpus=unit_gpus, gpus_per_node=gpus_per_node)
    back_s = down_s(law, load_s=weight_bytes / law.load_bytes_per_s)
    up = 1.0 / (1.0 + per_hour * back_s / HOUR_S)
    return Spares(
        pool=pool, unit_gpus=unit_gpus, n_needed=n_needed, unit_mtbf_s=HOUR_S / per_hour if per_hour else float("inf"),
        back_s=back_s, unit_up=up, n_spare=0, availability=up**n_needed, without=up**n_needed,
    )  # fmt: skip


def with_spares(pools: Sequence[Spares], target: float) -> list[Spares]:
    """Return the pools with spare units, one at a time where it is needed most, until all of them together are up with
    probability `target`; short of it where a thousand are too few."""
    found = list(pools)
    for _ in range(_MOST):
        if together(found) >= target:
            break
        at = min(range(len(found)), key=lambda at: found[at].availability)
        found[at] = _with_one_more(found[at])
    return found


def _with_one_more(pool: Spares) -> Spares:
    n_spare = pool.n_spare + 1
    up = at_least(pool.n_needed, pool.n_needed + n_spare, up=pool.unit_up)
    return replace(pool, n_spare=n_spare, availability=up)


def together(pools: Sequence[Spares]) -> float:
    """Return the probability that every pool has what it needs."""
    return prod(pool.availability for pool in pools)
