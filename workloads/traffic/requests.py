"""Requests as serving sees them: when they come, how long prompt and reply are, which prefix they share.

N requests of a chunk, in the order of arrival. Traffic is an iterator of chunks, so that a stream may be larger than
memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workloads.ops import FloatArray, IntArray

NO_SESSION = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request. `arrival_s` [s]; `prompt_tokens` count the conversation so far; `session`: conversation or user, or
    NO_SESSION. `prefix_ids`: one id per `block_tokens` tokens of the prompt from its start: requests with equal leading
    ids share these tokens. `reply_ids`: the ids that follow once the reply is there (a block that it fills is the next
    turn's prefix)."""

    arrival_s: float
    prompt_tokens: int
    output_tokens: int
    session: int = NO_SESSION
    prefix_ids: Sequence[int] = ()
    reply_ids: Sequence[int] = ()
    block_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Requests:
    """A chunk of N requests. `arrival_s_N`: seconds since the traffic began, never falling; `session_N`: NO_SESSION
    where a request belongs to none; `prefix_ids`: the ids of each request's prompt, one per `block_tokens` tokens (a
    last, partial block may have one), None where prefixes are unknown. Raises ValueError unless all are N long."""

    arrival_s_N: FloatArray
    prompt_tokens_N: IntArray
    output_tokens_N: IntArray
    session_N: IntArray
    prefix_ids: Sequence[Sequence[int]] | None = None
    block_tokens: int = 0

    def __post_init__(self) -> None:
        columns = (self.arrival_s_N, self.prompt_tokens_N, self.output_tokens_N, self.session_N, self.prefix_ids)
        lengths = [len(column) for column in columns if column is not None]
        if len(set(lengths)) != 1:
            raise ValueError(f"requests: got columns of {lengths} rows; allowed equal lengths")

    def __len__(self) -> int:
        return len(self.arrival_s_N)

    def one_by_one(self) -> Iterator[Request]:
        """Yield the N requests in their order."""
        prefixes = self.prefix_ids if self.prefix_ids is not None else [()] * len(self)
        for arrival_s, prompt, output, session, prefix in zip(
            self.arrival_s_N.tolist(),
            self.prompt_tokens_N.tolist(),
            self.output_tokens_N.tolist(),
            self.session_N.tolist(),
            prefixes,
            strict=True,
        ):
            yield Request(
                arrival_s=arrival_s, prompt_tokens=prompt, output_tokens=output, session=session, prefix_ids=prefix,
                block_tokens=self.block_tokens,
            )  # fmt: skip


def at_rate(chunks: Iterator[Requests], rate_scale: float) -> Iterator[Requests]:
    """Yield the same requests `rate_scale` times as fast: every time of arrival divided by it."""
    return (replace(chunk, arrival_s_N=chunk.arrival_s_N / rate_scale) for chunk in chunks)


def with_prompts(chunks: Iterator[Requests], scale: float) -> Iterator[Requests]:
    """Yield the same requests with prompts `scale` times as long (to the token, at least one). Longer ones go on in
    tokens that no other shares; shorter ones keep the prefix that is left of them."""
    for chunk in chunks:
        longer_N = np.maximum(1, np.rint(chunk.prompt_tokens_N * scale)).astype(chunk.prompt_tokens_N.dtype)
        prefixes = chunk.prefix_ids
        if prefixes is not None and scale < 1.0:
            blocks_N = (-(-longer_N // chunk.block_tokens)).tolist()
            prefixes = [ids[:n] for ids, n in zip(prefixes, blocks_N, strict=True)]
        yield replace(chunk, prompt_tokens_N=longer_N, prefix_ids=prefixes)
