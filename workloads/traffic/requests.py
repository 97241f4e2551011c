"""Requests in arrival order: when each arrives, how long its prompt is, how many tokens it is answered with.

N requests.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Requests:
    """N requests in arrival order. `arrival_s_N` [s] since the stream began, never falling; `prompt_tokens_N`,
    `output_tokens_N`; `session_N`: the conversation, -1 for none; `prefix_ids`: for each request the hashes of its
    prompt's blocks of `block_tokens` tokens in order, each of the prompt up to there, or None where unknown."""

    arrival_s_N: NDArray[np.float64]
    prompt_tokens_N: NDArray[np.int64]
    output_tokens_N: NDArray[np.int64]
    session_N: NDArray[np.int64]
    prefix_ids: Sequence[Sequence[int] | None] | None = None
    block_tokens: int = 0

    def __len__(self) -> int:
        return len(self.arrival_s_N)
