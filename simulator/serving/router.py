"""Which replica takes a request, and which attention group of it: each in turn, the least loaded, or the one that knows
most of its prompt."""

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Literal, Protocol

RouterName = Literal["round_robin", "least_loaded", "fewest_waiting", "least_kv", "prefix_aware"]
ROUTERS: tuple[RouterName, ...] = ("round_robin", "least_loaded", "fewest_waiting", "least_kv", "prefix_aware")
Route = Callable[[int], int]
_WORTH_A_WALK = 0.5  # share of the prompt that has to be known elsewhere (SGLang router: cache_threshold 0.5)
_IMBALANCE = 1.5  # times the least load beyond which knowing the prompt no longer counts (its balance_rel_threshold)
_WAITING_COUNTS = 4  # running requests (vLLM, client of data-parallel engines: waiting * 4 + running)


class Place(Protocol):
    """A replica, or one of its attention groups."""

    @property
    def n_waiting(self) -> int:
        """Requests that wait."""

    @property
    def n_running(self) -> int:
        """Requests that hold KV blocks."""

    @property
    def used_blocks(self) -> int:
        """KV blocks of running requests."""

    def known_tokens(self, request: int) -> int:
        """Return the leading tokens of the prompt that are cached there."""


def make_route(router: RouterName, places: Sequence[Place], prompt_tokens: Sequence[int]) -> Route:
    """Return the function from a request's number to the index of the place that takes it; ties go to the lowest index.

    Load is the requests that run or wait ("least_loaded"; those that wait count four times with "fewest_waiting"), or
    the KV blocks in use ("least_kv", then the fewest that wait). "prefix_aware" takes the place that knows the longest
    part of the prompt, where that is half of it at least and its load no more than 1.5 times the least; otherwise the
    least loaded.
    """
    if len(places) == 1:
        return lambda request: 0
    if router == "round_robin":
        turns = cycle(range(len(places)))
        return lambda request: next(turns)
    if router == "fewest_waiting":
        return lambda request: _least([_WAITING_COUNTS * place.n_waiting + place.n_running for place in places])
    if router == "least_kv":
        return lambda request: _least([(place.n_waiting, place.used_blocks) for place in places])
    if router == "least_loaded":
        return lambda request: _least([_load(place) for place in places])
    return lambda request: _most_known(places, request, prompt_tokens[request])


def looks_at_replicas(router: RouterName) -> bool:
    """Return whether a router has to see every replica as it stands when the request arrives."""
    return router != "round_robin"


def _load(place: Place) -> int:
    return place.n_running + place.n_waiting


def _least(loads: Sequence[int] | Sequence[tuple[int, int]]) -> int:
    return min(range(len(loads)), key=loads.__getitem__)


def _most_known(places: Sequence[Place], request: int, prompt_tokens: int) -> int:
    known, loads = [place.known_tokens(request) for place in places], [_load(place) for place in places]
    best, least = known.index(max(known)), _least(loads)
    near = loads[best] <= _IMBALANCE * max(loads[least], 1)
    return best if near and known[best] >= _WORTH_A_WALK * prompt_tokens else least
