"""The indexer of sparse attention in numbers: its weights, what it caches, and the (query, key) pairs that attention is
left with.

C rank classes.
"""

import numpy as np

from workloads.model import ModelSpec
from workloads.ops import FloatArray

VALUE_BYTES = {"bf16": 2.0, "fp32": 4.0}


def indexer_parameters(model: ModelSpec) -> int:
    """Return the weights of one indexer: queries from the compressed query (from the hidden state without one), a key
    and a weight per head from the hidden state (SGLang, Indexer: wq_b, wk, weights_proj)."""
    if model.indexer is None:
        return 0
    width = model.indexer.n_heads * model.indexer.head_dim
    q_input = getattr(model.attention, "q_lora_rank", 0) or model.hidden
    return q_input * width + model.hidden * (model.indexer.head_dim + model.indexer.n_heads)


def index_key_bytes(model: ModelSpec, precision: str) -> float:
    """Return the bytes of an indexer's key of one token: in FP8 with an FP32 scale per 128 values (SGLang's index
    cache: 132 B for 128 values); 0 without an indexer."""
    if model.indexer is None:
        return 0.0
    head_dim = model.indexer.head_dim
    return VALUE_BYTES[precision] * head_dim if precision in VALUE_BYTES else head_dim + 4.0 * head_dim / 128


def index_score_flops(model: ModelSpec) -> float:
    """Return the FLOPs of one query token on one cached token in one indexer, over all its heads."""
    return 2.0 * model.indexer.n_heads * model.indexer.head_dim if model.indexer else 0.0


def selected_pairs(top_k: int, *, tokens_C: FloatArray, sequences_C: FloatArray, context_C: FloatArray) -> FloatArray:
    """Return the (query, key) pairs that are left where each query reads at most `top_k` keys: sum of
    min(context + i, top_k) over the new tokens i = 1, 2, … of every sequence.

    `tokens_C` new tokens and `context_C` cached ones of all `sequences_C`, which are taken as alike.
    """
    sequences_C = np.maximum(sequences_C, 1e-12)
    new_C, cached_C = tokens_C / sequences_C, context_C / sequences_C
    whole_C = np.clip(top_k - cached_C, 0.0, new_C)  # queries that read every key up to their own
    pairs_C = whole_C * cached_C + whole_C * (whole_C + 1.0) / 2.0 + (new_C - whole_C) * top_k
    return np.asarray(sequences_C * pairs_C)
