"""Why one answer's step is longer than another's: their critical paths by kind, and the amounts behind each kind.

The parts are differences of critical paths, so that they add up to the difference of the steps. A cause is the amount
of the kind whose change goes the same way as its part; which amounts those are follows from the runs alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isclose

from simulator.amounts import KindAmounts
from simulator.answer import Answer

REBALANCING = "rebalancing"
_NOTICEABLE = 0.01  # of an amount: smaller changes explain nothing
_MOST_CAUSES = 2
_LARGE_PART = 0.5  # of a kind's part: what its time beside other work, or queued, must make up to be the cause


@dataclass(frozen=True, kw_only=True)
class Cause:
    """An amount that changed: `name` (weights, work, crossing, remote, kernels, hidden, queued, pace), before and
    after; times in s, bytes in B."""

    name: str
    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one kind contributes to the difference of two steps [s], and why (strongest cause first)."""

    kind: str
    change_s: float
    causes: Sequence[Cause] = ()


def best_first(answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers by tokens/s/GPU, most first, equal ones in the order given, infeasible ones last."""
    feasible = [answer for answer in answers if answer.feasible]
    ordered = sorted(feasible, key=lambda answer: -round(float(answer.metrics["tokens_per_s_per_gpu"]), 6))
    return [*ordered, *(answer for answer in answers if not answer.feasible)]


def distinct(answers: Sequence[Answer]) -> list[Answer]:
    """Return the feasible answers without those that equal one before them."""
    found: list[Answer] = []
    for answer in answers:
        if answer.feasible and not any(equal_times(answer, other) for other in found):
            found.append(answer)
    return found


def equal_times(one: Answer, other: Answer) -> bool:
    """Whether step, rate and exposed communication of two feasible answers are the same, rounding aside."""
    names = ("step_s", "tokens_per_s_per_gpu", "exposed_comm_s")
    pairs = [(one.metrics.get(name), other.metrics.get(name)) for name in names]
    return all(a == b or (a is not None and b is not None and isclose(a, b, rel_tol=1e-9)) for a, b in pairs)


def difference_parts(base: Answer, other: Answer) -> list[Part]:
    """Return the parts of `other`'s step minus `base`'s, the largest first; they add up to that difference.

    Moving experts stands on no critical path: it is a part of kind "rebalancing". Both answers are feasible.
    """
    changes = critical_path_changes(base, other)
    kinds = sorted(changes, key=lambda kind: (-abs(changes[kind]), kind))
    return [Part(kind=k, change_s=changes[k], causes=_causes(base, other, k, changes[k])) for k in kinds]


def critical_path_changes(base: Answer, other: Answer) -> dict[str, float]:
    """By kind, how much longer it is on the critical path of `other` than on that of `base` [s]."""
    before, after = _critical_s(base), _critical_s(other)
    return {kind: after.get(kind, 0.0) - before.get(kind, 0.0) for kind in dict.fromkeys([*before, *after])}


def _critical_s(answer: Answer) -> dict[str, float]:
    on_path = {str(row["kind"]): float(row["critical_s"]) for row in answer.kinds}
    moving_s = float(answer.metrics.get("rebalance_s", 0.0))
    return on_path | ({REBALANCING: moving_s} if moving_s else {})


def _causes(base: Answer, other: Answer, kind: str, change_s: float) -> Sequence[Cause]:
    if change_s == 0.0 or kind == REBALANCING:
        return ()
    before, after = _of_kind(base, kind), _of_kind(other, kind)
    if before is None or after is None:
        return ()
    found = sorted(_same_way(_changed(before, after), change_s), key=_strength, reverse=True)[:_MOST_CAUSES]
    return [*_standing(before, after, change_s), *found] or _pace(before, after, change_s)


def _of_kind(answer: Answer, kind: str) -> KindAmounts | None:
    return next((amounts for amounts in answer.amounts if amounts.kind == kind), None)


def _changed(before: KindAmounts, after: KindAmounts) -> Iterator[Cause]:
    yield Cause(name="weights", before=before.hbm_bytes_max, after=after.hbm_bytes_max)
    yield Cause(name="work", before=before.flops_max, after=after.flops_max)
    yield Cause(name="crossing", before=before.crossing_bytes_max, after=after.crossing_bytes_max)
    yield Cause(name="remote", before=before.remote_bytes, after=after.remote_bytes)
    yield Cause(name="kernels", before=before.n_kernels, after=after.n_kernels)


def _same_way(causes: Iterator[Cause], change_s: float) -> list[Cause]:
    return [c for c in causes if (c.after - c.before) * change_s > 0.0 and _strength(c) > _NOTICEABLE]


def _strength(cause: Cause) -> float:
    """The change over the larger of both: 1 for what appears or vanishes."""
    largest = max(abs(cause.before), abs(cause.after))
    return abs(cause.after - cause.before) / largest if largest else 0.0


def _standing(before: KindAmounts, after: KindAmounts, change_s: float) -> Sequence[Cause]:
    """That more of the kind runs beside the critical path, or that the path stands longer before it, where this makes
    up most of its part."""
    hidden = Cause(name="hidden", before=before.hidden_s, after=after.hidden_s)
    queued = Cause(name="queued", before=before.queued_s, after=after.queued_s)
    found = [hidden] if (hidden.before - hidden.after) / change_s >= _LARGE_PART else []
    return [*found, queued] if (queued.after - queued.before) / change_s >= _LARGE_PART else found


def _pace(before: KindAmounts, after: KindAmounts, change_s: float) -> Sequence[Cause]:
    """Nothing that the kind does has changed: it runs at another pace."""
    pace = Cause(name="pace", before=before.longest_s, after=after.longest_s)
    return [pace] if (pace.after - pace.before) * change_s > 0.0 else []
