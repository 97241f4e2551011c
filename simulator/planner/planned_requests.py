"""The requests of a question at a rate, for a replay: of its trace, or of its laws, with the prefixes they share."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from simulator.planner.load import Load
from simulator.planner.question import Question
from workloads.traffic.requests import Requests
from workloads.traffic.sessions import SessionTraffic
from workloads.traffic.sources import traffic_of

_BLOCK_TOKENS = 64
_PREFIXES = 16  # different beginnings that requests share: assumed, such as system prompts of as many services


def requests_at(
    question: Question, load: Load, rate_per_s: float, n_requests: int, seed: int
) -> Iterator[Requests] | SessionTraffic:
    """Return `n_requests` of a question's traffic, `rate_per_s` of them per second in the mean."""
    traffic = question.traffic
    if traffic.trace:
        return traffic_of(traffic.trace, rate_scale=rate_per_s / load.rate_per_s, n_requests=n_requests, seed=seed)
    kind = f"poisson:{rate_per_s!r}"
    if traffic.arrivals_cv != 1.0:
        kind = f"gamma:{rate_per_s!r},cv={traffic.arrivals_cv!r}" if traffic.arrivals_cv else f"constant:{rate_per_s!r}"
    made = traffic_of(kind, n_requests=n_requests, seed=seed, prompt=traffic.prompt, output=traffic.output)
    if traffic.prefix_hit_share and isinstance(made, Iterator):
        return _with_prefixes(made, traffic.prefix_hit_share, seed)
    return made


def _with_prefixes(chunks: Iterator[Requests], share: float, seed: int) -> Iterator[Requests]:
    """Requests whose prompts begin, for `share` of their tokens, as one of a few others do."""
    rng, n_own = np.random.default_rng([seed, 11]), _PREFIXES
    for chunk in chunks:
        ids = []
        for prompt in chunk.prompt_tokens_N.tolist():
            n_blocks = prompt // _BLOCK_TOKENS
            n_shared = round(share * prompt / _BLOCK_TOKENS)
            which = int(rng.integers(_PREFIXES))
            shared = [which * 1_000_000 + block for block in range(min(n_shared, n_blocks))]
            own = [n_own * 1_000_000 + block for block in range(n_blocks - len(shared))]
            n_own += 1
            ids.append([*shared, *own])
        yield replace(chunk, prefix_ids=ids, block_tokens=_BLOCK_TOKENS)
