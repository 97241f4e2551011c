"""What the traffic asks of a replica, in means: tokens of prompts and answers, contexts, drafts accepted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw_profiles.faults import Fault, InputFaults
from simulator.planner.question import Question, Traffic
from workloads.ops import FloatArray
from workloads.traffic.length_forms import lengths_of
from workloads.traffic.recorded import read_requests
from workloads.traffic.requests import Requests

_DRAWN = 50_000
_FROM_TRACE = 200_000  # requests of a trace that means are taken of


@dataclass(frozen=True, kw_only=True)
class Load:
    """Means over requests. `prompt_tokens`, of them `cached_tokens` found in the prefix cache; `decoded_tokens`: of the
    answer, the first one aside; `context_tokens`: in the cache of a sequence at a random moment of its decode;
    `longest_tokens`: prompt and answer together; `rate_per_s`: of a trace (0: no trace)."""

    prompt_tokens: float
    cached_tokens: float
    decoded_tokens: float
    context_tokens: float
    longest_tokens: float
    rate_per_s: float = 0.0

    @property
    def new_tokens(self) -> float:
        """Prompt tokens that have to be computed."""
        return self.prompt_tokens - self.cached_tokens


def load_of(question: Question) -> Load:
    """Return the load of a question's traffic; InputFaults where its trace is none, or its answers have one token."""
    traffic = question.traffic
    drawn = _of_trace(traffic.trace) if traffic.trace else _of_laws(traffic, question.seed)
    prompts_N, outputs_N = drawn.prompts_N, drawn.outputs_N
    decoded_N = np.maximum(outputs_N - 1.0, 0.0)
    if decoded_N.mean() < 1.0:
        raise InputFaults([Fault(field="traffic.output", got=f"a mean of {outputs_N.mean():.3g} tokens",
                                 allowed="2 tokens or more in the mean",
                                 remedy="else nothing is decoded: see `longsim run` with a prefill")])  # fmt: skip
    weight_N = decoded_N / decoded_N.sum()  # a sequence is met in its decode as often as it is long
    return Load(
        prompt_tokens=float(prompts_N.mean()),
        cached_tokens=float(prompts_N.mean()) * (drawn.hit_share or traffic.prefix_hit_share),
        decoded_tokens=float(decoded_N.mean()),
        context_tokens=float(weight_N @ (prompts_N + outputs_N / 2.0)),
        longest_tokens=float(weight_N @ (prompts_N + outputs_N)),
        rate_per_s=drawn.rate_per_s,
    )


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """Tokens of N requests' prompts and answers; of a trace its rate and the share of the prompts' tokens that earlier
    requests began with."""

    prompts_N: FloatArray
    outputs_N: FloatArray
    rate_per_s: float = 0.0
    hit_share: float = 0.0


def _of_laws(traffic: Traffic, seed: int) -> _Drawn:
    rng = np.random.default_rng([seed, 7])
    prompts, outputs = lengths_of(traffic.prompt, "prompt", []), lengths_of(traffic.output, "output", [])
    return _Drawn(prompts_N=prompts.draw(_DRAWN, rng).astype(float), outputs_N=outputs.draw(_DRAWN, rng).astype(float))


def _of_trace(path: str) -> _Drawn:
    chunks = list(read_requests(Path(path).expanduser(), n_requests=_FROM_TRACE))
    prompts_N = np.concatenate([chunk.prompt_tokens_N for chunk in chunks]).astype(float)
    outputs_N = np.concatenate([chunk.output_tokens_N for chunk in chunks]).astype(float)
    lasts_s = float(chunks[-1].arrival_s_N[-1])
    if lasts_s <= 0.0:
        raise InputFaults([Fault(field="traffic.trace", got="requests that all come at once", allowed="a span of time",
                                 remedy="give times of arrival, or laws in place of the trace")])  # fmt: skip
    return _Drawn(prompts_N=prompts_N, outputs_N=outputs_N, rate_per_s=len(prompts_N) / lasts_s,
                  hit_share=shared_tokens(chunks) / float(prompts_N.sum()))  # fmt: skip


def shared_tokens(chunks: Sequence[Requests]) -> float:
    """Return the prompt tokens that a cache without end would hold when they come: leading blocks that an earlier
    request had, one token of each prompt aside, which is always computed."""
    seen: set[int] = set()
    total = 0
    for request in (request for chunk in chunks for request in chunk.one_by_one()):
        n_blocks = next(
            (at for at, block in enumerate(request.prefix_ids) if block not in seen), len(request.prefix_ids)
        )
        total += min(n_blocks * request.block_tokens, request.prompt_tokens - 1)
        seen.update(request.prefix_ids)
    return float(total)
