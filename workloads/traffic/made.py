"""Traffic made from stated laws: arrivals of one, lengths of two others, requests that share nothing."""

from collections.abc import Iterator

import numpy as np

from workloads.ops import FloatArray
from workloads.traffic.lengths import Lengths
from workloads.traffic.requests import NO_SESSION, Requests
from workloads.traffic.streams import OUTPUTS, PROMPTS, stream


def made_requests(
    arrivals: Iterator[FloatArray], *, prompt: Lengths, output: Lengths, n_requests: int, seed: int
) -> Iterator[Requests]:
    """Yield `n_requests` requests, chunk by chunk. Lengths come from streams of their own, so that the same seed gives
    the same lengths whatever the arrivals are."""
    prompt_rng, output_rng = stream(seed, PROMPTS), stream(seed, OUTPUTS)
    n_left = n_requests
    for times_s in arrivals:
        arrival_s_N = times_s[:n_left]
        n = len(arrival_s_N)
        yield Requests(
            arrival_s_N=arrival_s_N,
            prompt_tokens_N=prompt.draw(n, prompt_rng),
            output_tokens_N=output.draw(n, output_rng),
            session_N=np.full(n, NO_SESSION, dtype=np.int64),
        )
        n_left -= n
        if n_left == 0:
            return
