"""What failures came to in a run."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simulator.availability import replica_availability, spares_needed
from simulator.scenario_schema import Scenario
from simulator.serving.outages import Outage
from workloads.memory import weight_items


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


def spares(scenario: Scenario, n_replicas: int) -> Mapping[str, Any]:
    """Return of the replicas of one pool, from the failures that are drawn: `up`, the share of the time that one is,
    and `needed`, the spare ones for the target; nothing where none are drawn."""
    failures = scenario.failures
    if not any(failures.mtbf_hours.values()):
        return {}
    load_s = sum(weight_items(scenario.step).values()) / failures.load_bytes_per_s
    up = replica_availability(
        failures, n_gpus=scenario.n_gpus, gpus_per_node=scenario.profile.node.n_devices, load_s=load_s
    )
    needed = spares_needed(n_replicas, up=up, target=failures.availability_target)
    return {"up": up, "needed": needed, "target": failures.availability_target}


def beside_no_failures(metrics: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the metrics of a run with what its failures cost beside the `whole` one, of the same requests without
    them: `goodput_lost`, the share of the requests within the SLO that are so no more."""
    good, better = (one["slo_share"] * (one["n_requests"] - one["n_running"]) for one in (metrics, whole))
    lost = 1.0 - good / better if better > 0.0 else 0.0
    return {**metrics, "failures": {**metrics["failures"], "goodput_lost": lost, "without": {
        name: whole[name] for name in ("slo_share", "goodput_per_s", "ttft_s", "tpot_s", "e2e_s")
    }}}  # fmt: skip


def failure_words(failures: Mapping[str, Any]) -> Iterator[str]:
    """Yield the failures of a run in sentences."""
    kinds = ", ".join(f"{n} {kind}" for kind, n in failures["by_kind"].items())
    cost = f"; {failures['goodput_lost']:.1%} of the goodput lost" if "goodput_lost" in failures else ""
    yield (
        f"failures: {failures['n']} ({kinds or 'none'}); replicas served {failures['availability']:.2%} of the time, "
        f"{failures['capacity']:.2%} of their capacity; {failures['n_moved']:,} requests moved, {failures['n_lost']:,} "
        f"lost; down for {failures['longest_s']:,.0f} s at the longest{cost}"
    )
    for pool, part in failures["spares"].items():
        yield (
            f"by their MTBF each of {pool} is up {part['up']:.3%} of the time; as many as there are now are up "
            f"{part['target']:.2%} of the time with spare ones: {part['needed']}"
        )
