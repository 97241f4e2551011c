"""How long the sequences of a step are and which attention group holds which: tokens and KV reads per rank.

R ranks, G attention groups (of attention_tp ranks), S sequences per group.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from workloads.ops import FloatArray
from workloads.step import StepSpec

_CHUNK_AMOUNTS = ("tokens", "sequences", "context_tokens", "pairs")


@dataclass(frozen=True, kw_only=True)
class RankBatch:
    """One (half-)batch as ranks see it. `tokens_R`: tokens of the residual stream on the rank; of its whole attention
    group: `group_tokens_R`, `group_sequences_R`, `group_context_R` (tokens in the KV cache, summed over sequences) and
    `group_pairs_R` ((query, key) pairs that causal attention computes). Chunks of prompts in a decode step count in the
    two numbers of tokens; sequences, context and pairs of theirs stand apart, as does their part of the tokens."""

    tokens_R: FloatArray
    group_tokens_R: FloatArray
    group_sequences_R: FloatArray
    group_context_R: FloatArray
    group_pairs_R: FloatArray
    chunk_tokens_R: FloatArray
    chunk_sequences_R: FloatArray
    chunk_context_R: FloatArray
    chunk_pairs_R: FloatArray


def draw_contexts(step: StepSpec, rng: np.random.Generator) -> FloatArray | None:
    """Return the context of each sequence [tokens], (G, S), or None where all are alike (`context_cv` 0).

    Lognormal with the batch's mean and coefficient of variation; "random" leaves them where they were drawn,
    "least_kv" gives the longest first to the group with the least KV that has room.
    """
    batch = step.batch
    if batch.context_cv == 0.0 or batch.context_tokens == 0.0:
        return None
    n_groups = step.n_gpus // step.layout.attention_tp
    n_sequences = max(1, round(batch.sequences_per_gpu * step.layout.attention_tp))
    sigma = np.sqrt(np.log1p(batch.context_cv**2))
    drawn = rng.lognormal(np.log(batch.context_tokens) - sigma**2 / 2, sigma, size=n_groups * n_sequences)
    if batch.request_balance == "random":
        return np.asarray(drawn.reshape(n_groups, n_sequences))
    return _least_kv(drawn, n_groups, n_sequences)


def _least_kv(contexts: FloatArray, n_groups: int, n_sequences: int) -> FloatArray:
    groups: list[list[float]] = [[] for _ in range(n_groups)]
    heap = [(0.0, g) for g in range(n_groups)]
    for context in -np.sort(-contexts):
        total, g = heapq.heappop(heap)
        groups[g].append(float(context))
        if len(groups[g]) < n_sequences:
            heapq.heappush(heap, (total + float(context), g))
    return np.array(groups)


def rank_batches(step: StepSpec, contexts_GS: FloatArray | None, n_parts: int) -> Sequence[RankBatch]:
    """Return the step's batch cut into `n_parts` of equal sequence count (the first ones get the odd sequences;
    a fractional batch is cut evenly)."""
    tp, n_groups = step.layout.attention_tp, step.n_gpus // step.layout.attention_tp
    n_sequences = step.batch.sequences_per_gpu * tp if contexts_GS is None else float(contexts_GS.shape[1])
    bounds = _cuts(n_sequences, n_parts)
    parts = []
    for low, high in pairwise(bounds):
        share = (high - low) / n_sequences if n_sequences else 1.0 / n_parts
        sequences_G, context_G = (
            np.full(n_groups, high - low),
            np.full(n_groups, (high - low) * step.batch.context_tokens),
        )
        if contexts_GS is not None:
            context_G = contexts_GS[:, int(low) : int(high)].sum(axis=1)
        if step.fullest is not None and n_groups > 1:
            sequences_G = _first_has(step.fullest.sequences * share, sequences_G)
            context_G = _first_has(step.fullest.context_tokens * share, context_G)
        parts.append(_rank_batch(step, np.repeat(sequences_G, tp), np.repeat(context_G, tp), share))
    return parts


def _first_has(amount: float, mean_G: FloatArray) -> FloatArray:
    """The same sum, of which the first group has `amount` and the others what is left, alike."""
    rest = max(0.0, float(mean_G.sum()) - amount) / (len(mean_G) - 1)
    return np.concatenate([[amount], np.full(len(mean_G) - 1, rest)])


def _cuts(n_sequences: float, n_parts: int) -> list[float]:
    if n_sequences != int(n_sequences):
        return [n_sequences * i / n_parts for i in range(n_parts + 1)]
    return [float(-(-int(n_sequences) * i // n_parts)) for i in range(n_parts + 1)]


def _rank_batch(
    step: StepSpec, group_sequences_R: FloatArray, group_context_R: FloatArray, share_of_chunks: float
) -> RankBatch:
    queries = step.queries_per_sequence
    chunk = {name: _chunks_by_rank(step, name, share_of_chunks) for name in _CHUNK_AMOUNTS}
    group_tokens_R = group_sequences_R * queries + chunk["tokens"]
    return RankBatch(
        tokens_R=group_tokens_R / step.layout.attention_tp,
        group_tokens_R=group_tokens_R,
        group_sequences_R=group_sequences_R,
        group_context_R=group_context_R,
        group_pairs_R=queries * group_context_R + group_sequences_R * queries * (queries + 1) / 2.0,
        chunk_tokens_R=chunk["tokens"],
        chunk_sequences_R=chunk["sequences"],
        chunk_context_R=chunk["context_tokens"],
        chunk_pairs_R=chunk["pairs"],
    )


def _chunks_by_rank(step: StepSpec, name: str, share: float) -> FloatArray:
    """An amount of the prompts' chunks of each rank's attention group: the first group's, and what is left by the
    others alike."""
    tp, chunks = step.layout.attention_tp, step.chunks
    if chunks is None:
        return np.zeros(step.n_gpus)
    amounts_G = np.full(step.n_gpus // tp, getattr(chunks, name) * tp)
    if chunks.busiest is not None and len(amounts_G) > 1:
        amounts_G = _first_has(getattr(chunks.busiest, name) * tp, amounts_G)
    return np.repeat(amounts_G, tp) * share
