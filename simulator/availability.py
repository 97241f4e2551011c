"""How often a replica is up, and how many spare ones it takes so that enough always are."""

from math import comb

from simulator.failures import Failures

_S_PER_HOUR = 3600.0
_MOST_SPARES = 1000


def failures_per_hour(failures: Failures, *, n_gpus: int, gpus_per_node: int) -> float:
    """Return how often a replica of `n_gpus` goes down [1/h]: devices, nodes, and NICs where nothing takes over."""
    rates = {kind: 1.0 / hours for kind, hours in failures.mtbf_hours.items() if hours}
    nodes = -(-n_gpus // gpus_per_node)
    nics = 0.0 if failures.nic_failover else n_gpus * rates.get("nic", 0.0)
    return n_gpus * rates.get("device", 0.0) + nodes * rates.get("node", 0.0) + nics


def replica_availability(failures: Failures, *, n_gpus: int, gpus_per_node: int, load_s: float) -> float:
    """Return the share of the time that a replica is up where no node stands by: time between failures over that and
    the time to detect, repair, restart and load the weights (`load_s`)."""
    rate = failures_per_hour(failures, n_gpus=n_gpus, gpus_per_node=gpus_per_node)
    down_s = failures.detection_s + failures.repair_s + failures.restart_s + load_s
    return 1.0 / (1.0 + rate * down_s / _S_PER_HOUR)


def spares_needed(n_replicas: int, *, up: float, target: float) -> int:
    """Return the fewest spare replicas with which `n_replicas` or more are up with probability `target`, each being
    `up` with that probability, independently. ValueError where a thousand are too few."""
    for spares in range(_MOST_SPARES + 1):
        n = n_replicas + spares
        if sum(comb(n, k) * up**k * (1.0 - up) ** (n - k) for k in range(n_replicas, n + 1)) >= target:
            return spares
    raise ValueError(f"{_MOST_SPARES} spare replicas do not reach {target:g} where each is up {up:g} of the time")
