"""Why nothing serves: which target, by how much, and what comes nearest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulator.planner.operating import Promise, Refusal
from simulator.planner.search import Found
from simulator.planner.space import Role
from simulator.planner.workshop import Workshop

_TRIED = 12  # families that come nearest by their bounds, simulated one by one


@dataclass(frozen=True, kw_only=True)
class Miss:
    """A target that no candidate of a machine meets. `target`: "ttft", "tpot", "memory", "rate"; `reaches` at best
    against `allowed` [s, bytes of a GPU, requests/s or users]; `by`: the family or plan that comes nearest, on
    `n_gpus`."""

    machine: str
    target: str
    reaches: float
    allowed: float
    by: str
    n_gpus: int


def misses(shop: Workshop, found: Mapping[Role, Found], promise: Promise, most_gpus: int) -> list[Miss]:
    """Return what stands in the way of each role that no family fills, the nearest family of each."""
    rows = [_miss(shop, found[role].refusals, promise, most_gpus) for role in found if not found[role].best]
    unique = {(row.target, row.by): row for row in rows if row is not None}
    return list(unique.values())


def _miss(shop: Workshop, refusals: Sequence[Refusal], promise: Promise, most_gpus: int) -> Miss | None:
    latency = [refusal for refusal in refusals if refusal.target != "memory"]
    if not latency:
        return _no_room(shop, refusals, most_gpus)
    nearest: Refusal | None = None
    for refusal in sorted(latency, key=lambda r: r.reaches / r.allowed)[:_TRIED]:
        if nearest is not None and refusal.reaches / refusal.allowed >= nearest.reaches / nearest.allowed:
            break  # bounds only: no later one is nearer
        point = shop.replica(refusal.family).point(promise)
        if isinstance(point, Refusal) and (
            nearest is None or point.reaches / point.allowed < nearest.reaches / nearest.allowed
        ):
            nearest = point
    assert nearest is not None
    return Miss(machine=shop.machine, target=nearest.target, reaches=nearest.reaches, allowed=nearest.allowed,
                by=nearest.family.name, n_gpus=nearest.family.n_gpus)  # fmt: skip


def _no_room(shop: Workshop, refusals: Sequence[Refusal], most_gpus: int) -> Miss | None:
    """The family that needs least, or the first size of replica beyond the ones allowed that has room."""
    if not refusals:
        return None
    least = min(refusals, key=lambda r: r.reaches / r.allowed)
    beyond = first_that_fits(shop, most_gpus)
    return Miss(machine=shop.machine, target="memory", reaches=least.reaches, allowed=least.allowed,
                by=f"{least.family.name}; {beyond}", n_gpus=least.family.n_gpus)  # fmt: skip


def first_that_fits(shop: Workshop, most_gpus: int) -> str:
    """Return in words the smallest replica with room for one sequence."""
    families = shop.families("decode", min(16 * most_gpus, shop.site.profile.fabric.max_devices))
    fit = min((f.n_gpus for f in families if shop.limits(f).most_sequences), default=0)
    return f"the smallest replica with room has {fit} GPUs" if fit else "no replica of any size has room"
