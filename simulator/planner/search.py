"""The search: of every size of replica the family that takes most requests per second, by bounds first.

Families of a size and role are tried in the order of their upper bounds, small replicas first. One whose bound is no
better than what a simulated one takes, or as many smaller ones in its place, is not simulated. Before a family's limit
is searched, one step shows whether it can come so far at all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simulator.planner.operating import Point, Promise, Refusal, Replica
from simulator.planner.space import Family, Role
from simulator.planner.workshop import Tally, Workshop

ROLES: tuple[Role, ...] = ("prefill", "decode", "together")


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """A family that was not simulated to its limit: its upper bound, and the rate it did not reach."""

    family: Family
    upper_per_s: float
    kept_per_s: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search of one role found. `best`: by size of the replica; `points`: all that were simulated; `refusals`
    of families that serve nothing, by bound or by simulation; `pruned`: what bounds or one step ruled out."""

    best: Sequence[Point]
    points: Sequence[Point]
    refusals: Sequence[Refusal]
    pruned: Sequence[Pruned]
    tally: Tally


def search(shop: Workshop, role: Role, promise: Promise, most_gpus: int) -> Found:
    """Return the best point of each size of replica up to `most_gpus` that is better than smaller ones in its place."""
    return search_among(shop, shop.families(role, most_gpus), promise)


def search_among(shop: Workshop, found: Iterable[Family], promise: Promise) -> Found:
    """Return the best point of each size among these families."""
    by_size: dict[int, list[Point]] = {}
    refusals: list[Refusal] = []
    n = 0
    for family in found:
        n += 1
        upper = shop.upper(family, promise)
        if isinstance(upper, Refusal):
            refusals.append(upper)
        else:
            by_size.setdefault(family.n_gpus, []).append(upper)
    without_room = sum(refusal.target == "memory" for refusal in refusals)
    total = Found(best=[], points=[], refusals=refusals, pruned=[],
                  tally=Tally(n_candidates=n, n_without_room=without_room,
                              n_bounded=len(refusals) - without_room))  # fmt: skip
    for size in sorted(by_size):
        total = _joined(total, _of_one_size(shop, by_size[size], promise, total.best))
    return total


def _joined(one: Found, other: Found) -> Found:
    return Found(
        best=[*one.best, *other.best], points=[*one.points, *other.points],
        refusals=[*one.refusals, *other.refusals], pruned=[*one.pruned, *other.pruned], tally=one.tally + other.tally,
    )  # fmt: skip


def _of_one_size(shop: Workshop, uppers: Sequence[Point], promise: Promise, smaller: Sequence[Point]) -> Found:
    """Try the families of one size; as many replicas of a smaller size as stand in its place are to be beaten too."""
    size = uppers[0].family.n_gpus
    best: Point | None = None
    kept = max((size // point.family.n_gpus * point.rate_per_s for point in smaller), default=0.0)
    points: list[Point] = []
    refusals: list[Refusal] = []
    pruned: list[Pruned] = []
    n_bounded = n_challenged = 0
    first = smaller[-1].most_sequences if smaller else 1
    for upper in sorted(uppers, key=lambda point: -point.rate_per_s):
        if upper.rate_per_s <= kept:
            pruned.append(Pruned(family=upper.family, upper_per_s=upper.rate_per_s, kept_per_s=kept))
            n_bounded += 1
            continue
        replica = shop.replica(upper.family, first=max(1, first))
        if kept and not _may_beat(shop, replica, kept, promise):
            pruned.append(Pruned(family=upper.family, upper_per_s=upper.rate_per_s, kept_per_s=kept))
            n_challenged += 1
            continue
        point = replica.point(promise)
        if isinstance(point, Refusal):
            refusals.append(point)
            continue
        points.append(point)
        if point.rate_per_s > kept:
            best, kept, first = point, point.rate_per_s, point.most_sequences
    tally = Tally(n_bounded=n_bounded, n_challenged=n_challenged, n_simulated=len(points) + len(refusals))
    return Found(best=[best] if best else [], points=points, refusals=refusals, pruned=pruned, tally=tally)


def _may_beat(shop: Workshop, replica: Replica, rate: float, promise: Promise) -> bool:
    """Whether a family may take more than `rate`, by one step of prompts or two, then by one of decodes."""
    for full_steps in (False, True) if replica.family.role == "together" else ():
        upper = shop.upper_beside_prompts(replica.family, promise, full_steps=full_steps)
        if isinstance(upper, Refusal) or upper.rate_per_s <= rate:
            return False
    return replica.may_beat(rate, promise)
