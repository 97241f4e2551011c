"""How often a replica is up, and how many spare ones it takes so that enough always are."""

from math import exp, lgamma, log

from simulator.failures import Failures

_S_PER_HOUR = 3600.0
_MOST_SPARES = 1000


def failures_per_hour(failures: Failures, *, n_gpus: int, gpus_per_node: int) -> float:
    """Return how often a replica of `n_gpus` goes down [1/h]: devices, nodes, and NICs where nothing takes over."""
    rates = {kind: 1.0 / hours for kind, hours in failures.mtbf_hours.items() if hours}
    nodes = -(-n_gpus // gpus_per_node)
    nics = 0.0 if failures.nic_failover else n_gpus * rates.get("nic", 0.0)
    return n_gpus * rates.get("device", 0.0) + nodes * rates.get("node", 0.0) + nics


def down_s(failures: Failures, *, load_s: float) -> float:
    """Return how long a failure keeps a replica down where no node stands by [s]: until it is detected, repaired,
    restarted, and its weights are loaded (`load_s`)."""
    return failures.detection_s + failures.repair_s + failures.restart_s + load_s


def replica_availability(failures: Failures, *, n_gpus: int, gpus_per_node: int, load_s: float) -> float:
    """Return the share of the time that a replica is up: time between failures over that and the time it is down."""
    rate = failures_per_hour(failures, n_gpus=n_gpus, gpus_per_node=gpus_per_node)
    return 1.0 / (1.0 + rate * down_s(failures, load_s=load_s) / _S_PER_HOUR)


def at_least(n_needed: int, n_replicas: int, *, up: float) -> float:
    """Return the probability that `n_needed` or more of `n_replicas` are up, each being `up` with that probability,
    independently (binomial; by logarithms, since its coefficients outgrow a float)."""
    if up in (0.0, 1.0):
        return float(n_needed <= n_replicas * up)
    whole = lgamma(n_replicas + 1.0)
    terms = (
        exp(whole - lgamma(k + 1.0) - lgamma(n_replicas - k + 1.0) + k * log(up) + (n_replicas - k) * log(1.0 - up))
        for k in range(n_needed, n_replicas + 1)
    )
    return min(1.0, sum(terms))


def spares_needed(n_replicas: int, *, up: float, target: float) -> int:
    """Return the fewest spare replicas with which `n_replicas` or more are up with probability `target`, each being
    `up` with that probability, independently. ValueError where a thousand are too few."""
    for spares in range(_MOST_SPARES + 1):
        if at_least(n_replicas, n_replicas + spares, up=up) >= target:
            return spares
    raise ValueError(f"{_MOST_SPARES} spare replicas do not reach {target:g} where each is up {up:g} of the time")
