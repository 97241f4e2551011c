"""What failures came to in a run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.serving.outages import Outage


def failure_metrics(log: Sequence[Outage], *, n_replicas: int, end_s: float, n_lost: int) -> Mapping[str, Any]:
    """Return `n` failures, `by_kind`, requests that moved (`n_moved`) or were lost (`n_lost`); up to the end of the run
    at `end_s` [s] the share of the time of `n_replicas` in which they served (`availability`), and with a degraded one
    counted by what was left of it (`capacity`); `longest_s`, the longest that one was down [s]."""
    happened = [outage for outage in log if outage.at_s < end_s]
    down_s = [min(outage.serves_s, end_s) - outage.at_s for outage in happened]
    less_s = [
        (1.0 - outage.capacity) * (min(outage.back_s, end_s) - min(outage.serves_s, end_s)) for outage in happened
    ]
    whole_s = end_s * n_replicas
    return {
        "n": len(happened),
        "by_kind": dict(Counter(outage.kind for outage in happened)),
        "n_moved": sum(outage.n_moved for outage in happened),
        "n_lost": n_lost,
        "availability": 1.0 - sum(down_s) / whole_s if whole_s else 1.0,
        "capacity": 1.0 - (sum(down_s) + sum(less_s)) / whole_s if whole_s else 1.0,
        "longest_s": max(down_s, default=0.0),
    }


def failure_words(failures: Mapping[str, Any]) -> str:
    """Return the failures of a run in a sentence."""
    kinds = ", ".join(f"{n} {kind}" for kind, n in failures["by_kind"].items())
    return (
        f"failures: {failures['n']} ({kinds or 'none'}); replicas served {failures['availability']:.2%} of the time, "
        f"{failures['capacity']:.2%} of their capacity; {failures['n_moved']:,} requests moved, {failures['n_lost']:,} "
        f"lost; down for {failures['longest_s']:,.0f} s at the longest"
    )
