"""Whole replicas on whole clusters: the rate that GPUs take, and the GPUs that a rate takes, by one computation.

`best_plan` gives the most that a number of GPUs takes; it never falls with more of them, since GPUs may stand idle.
`smallest` is its inverse: the first count whose best plan takes enough.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor

from simulator.planner.load import Load
from simulator.planner.operating import Point
from simulator.planner.precisions import PRECISIONS
from simulator.planner.question import Serving

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Replicas of one machine. `serving` "split": `n_prefill` of `prefill` compute prompts, `n_decode` of `decode`
    answer; "together": `n_decode` of `decode` do both. `n_gpus` that are paid for, whole nodes; some may stand idle."""

    machine: str
    serving: Serving
    decode: Point
    n_decode: int
    n_gpus: int
    usd_per_gpu_hour: float
    prefill: Point | None = None
    n_prefill: int = 0

    @property
    def rate_per_s(self) -> float:
        """Requests per second that it takes."""
        decodes = self.n_decode * self.decode.rate_per_s
        return min(decodes, self.n_prefill * self.prefill.rate_per_s) if self.prefill else decodes

    @property
    def n_used(self) -> int:
        """GPUs of its replicas."""
        prompts = self.n_prefill * self.prefill.family.n_gpus if self.prefill else 0
        return self.n_decode * self.decode.family.n_gpus + prompts

    @property
    def usd_per_hour(self) -> float:
        """Price of all its GPUs."""
        return self.n_gpus * self.usd_per_gpu_hour

    @property
    def name(self) -> str:
        """What it is in short."""
        decode = f"{self.n_decode} × {self.decode.family.name}"
        if not self.prefill:
            return f"together on {decode}"
        return f"prefill on {self.n_prefill} × {self.prefill.family.name}; decode on {decode}"


@dataclass(frozen=True, kw_only=True)
class Pools:
    """Points of one machine that plans are made of; `node` devices stand in a node, at most `most_gpus` in a fabric.
    `users_think_s`: plans are worth the users they hold, each asking again so long after an answer; None: requests."""

    machine: str
    node: int
    most_gpus: int
    usd_per_gpu_hour: float
    prefill: Sequence[Point]
    decode: Sequence[Point]
    together: Sequence[Point]
    load: Load
    users_think_s: float | None = None

    def whole_nodes(self, n_gpus: int) -> int:
        """GPUs to pay for: part of one node, or whole ones."""
        return n_gpus if n_gpus <= self.node else ceil(n_gpus / self.node) * self.node

    def counts(self, most: int) -> list[int]:
        """GPU counts that a cluster may have: parts of one node, then whole ones."""
        most = min(most, self.most_gpus)
        return [*range(1, min(self.node, most) + 1), *range(2 * self.node, most + 1, self.node)]

    def worth(self, plan: Plan) -> float:
        """Requests per second that a plan takes, or users that it holds (Little's law)."""
        if self.users_think_s is None:
            return plan.rate_per_s
        first_s = plan.prefill.ttft_s if plan.prefill else plan.decode.ttft_s
        return plan.rate_per_s * (self.users_think_s + first_s + plan.decode.tpot_s * self.load.decoded_tokens)


def best_plan(pools: Pools, n_gpus: int) -> Plan | None:
    """Return the plan on at most `n_gpus` that takes most, of equals the one with fewer GPUs; None: none serves."""
    return max(plans(pools, n_gpus), key=lambda plan: (pools.worth(plan), -plan.n_used), default=None)


def plans(pools: Pools, n_gpus: int) -> Iterator[Plan]:
    """Yield the best plan of each point, or pair of points, on at most `n_gpus`, without replicas that add nothing."""
    for point in pools.together:
        if n := n_gpus // point.family.n_gpus:
            yield _plan(pools, point, n)
    for decode in pools.decode:
        for prefill in pools.prefill:
            if PRECISIONS[prefill.family.precision].kv == PRECISIONS[decode.family.precision].kv and (
                pair := _best_ratio(prefill, decode, n_gpus)
            ):
                yield _plan(pools, decode, pair[1], prefill, pair[0])


def _plan(pools: Pools, decode: Point, n_decode: int, prefill: Point | None = None, n_prefill: int = 0) -> Plan:
    used = n_decode * decode.family.n_gpus + (n_prefill * prefill.family.n_gpus if prefill else 0)
    return Plan(
        machine=pools.machine, serving="split" if prefill else "together", decode=decode, n_decode=n_decode,
        prefill=prefill, n_prefill=n_prefill, n_gpus=pools.whole_nodes(used), usd_per_gpu_hour=pools.usd_per_gpu_hour,
    )  # fmt: skip


def _best_ratio(prefill: Point, decode: Point, n_gpus: int) -> tuple[int, int] | None:
    """Replicas (prefill, decode) on at most `n_gpus` that take most, without any that add nothing; None where there is
    no room for one of each."""
    of_prefill, of_decode = prefill.family.n_gpus, decode.family.n_gpus
    each = of_prefill / prefill.rate_per_s + of_decode / decode.rate_per_s  # GPUs of each request per second
    even = floor(n_gpus / each / decode.rate_per_s + _ROUNDING)  # decode replicas of the even ratio
    most = (n_gpus - of_prefill) // of_decode
    pairs = [
        ((n_gpus - n * of_decode) // of_prefill, n)
        for n in {min(max(even + d, 1), most) for d in range(-1, 3)}
        if n > 0
    ]
    if not pairs:
        return None
    rate = max(_rate_of(prefill, decode, pair) for pair in pairs)
    return _replicas(rate, prefill), _replicas(rate, decode)


def _rate_of(prefill: Point, decode: Point, pair: tuple[int, int]) -> float:
    return min(pair[0] * prefill.rate_per_s, pair[1] * decode.rate_per_s)


def _replicas(rate: float, point: Point) -> int:
    return max(1, ceil(rate / point.rate_per_s * (1.0 - _ROUNDING)))


def smallest(pools: Pools, wanted: float, counts: Sequence[int]) -> Plan | None:
    """Return the best plan on the first of the rising `counts` that takes `wanted` requests per second, or users; None
    where none does."""
    low, high = -1, len(counts)
    found: Plan | None = None
    while high - low > 1:
        middle = (low + high) // 2
        plan = best_plan(pools, counts[middle])
        if plan is not None and pools.worth(plan) >= wanted * (1.0 - _ROUNDING):
            high, found = middle, plan
        else:
            low = middle
    return found
