"""Which replica takes a request: each in turn, the least loaded, or the one that knows most of its prompt."""

from collections.abc import Callable, Sequence
from typing import Literal

from simulator.serving.replica import Replica

RouterName = Literal["round_robin", "least_loaded", "prefix_aware"]
ROUTERS: tuple[RouterName, ...] = ("round_robin", "least_loaded", "prefix_aware")
Route = Callable[[int], int]
_WORTH_A_WALK = 0.5  # share of the prompt that has to be known elsewhere (SGLang router: cache_threshold 0.5)
_IMBALANCE = 1.5  # times the least load beyond which knowing the prompt no longer counts (its balance_rel_threshold)


def make_route(router: RouterName, replicas: Sequence[Replica], prompt_tokens: Sequence[int]) -> Route:
    """Return the function from a request's number to its replica's index; ties go to the lowest index.

    Load is the requests that run or wait. "prefix_aware" takes the replica that knows the longest part of the prompt,
    where that is half of it at least and its load no more than 1.5 times the least; otherwise the least loaded.
    """
    if router == "round_robin":
        return lambda request: request % len(replicas)
    if router == "least_loaded":
        return lambda request: _least_loaded(replicas)
    return lambda request: _most_known(replicas, request, prompt_tokens[request])


def looks_at_replicas(router: RouterName) -> bool:
    """Return whether a router has to see every replica as it stands when the request arrives."""
    return router != "round_robin"


def _load(replica: Replica) -> int:
    return replica.n_running + replica.n_waiting


def _least_loaded(replicas: Sequence[Replica]) -> int:
    loads = [_load(replica) for replica in replicas]
    return loads.index(min(loads))


def _most_known(replicas: Sequence[Replica], request: int, prompt_tokens: int) -> int:
    known = [replica.known_tokens(request) for replica in replicas]
    best, least = known.index(max(known)), _least_loaded(replicas)
    near = _load(replicas[best]) <= _IMBALANCE * max(_load(replicas[least]), 1)
    return best if near and known[best] >= _WORTH_A_WALK * prompt_tokens else least
