"""Sparse attention as work: the indexer that scores every cached token, and the core that reads the chosen ones.

C rank classes.
"""

import numpy as np

from workloads.contexts import RankBatch
from workloads.indexer import index_key_bytes, index_score_flops, selected_pairs
from workloads.lowering.kernels import elementwise, gemm
from workloads.lowering.view import View
from workloads.model import IndexerSpec
from workloads.ops import FloatArray, Work
from workloads.zoo import attention_core_flops, kv_bytes_per_token, kv_values_per_token

_SCORE_BYTES = 4.0  # a score in FP32, an index in INT32


def reads_all(view: View, prompts: RankBatch) -> bool:
    """Whether no query of the prompts has more keys than the indexer would choose: then a dense core runs, and nothing
    is scored (SGLang's NSA backend: dense prefill up to `index_topk` tokens)."""
    indexer = view.step.model.indexer
    if indexer is None:
        return True
    held_C = (prompts.group_context_R + prompts.group_tokens_R) / np.maximum(prompts.group_sequences_R, 1e-12)
    return bool(np.max(held_C) <= indexer.top_k)


def indexer_works(view: View, name: str, indexer: IndexerSpec, *, scored_pairs_C: FloatArray) -> list[Work]:
    """Return one indexer, whole on every rank of an attention group: projections, keys into their cache, scores of
    `scored_pairs_C` (query, key) pairs, the choice. Keys are read once per sequence."""
    model, precision = view.step.model, view.step.precision.attention_weights
    rows_C, width = view.batch.group_tokens_R, indexer.n_heads * indexer.head_dim
    q_input = getattr(model.attention, "q_lora_rank", 0) or model.hidden
    works = [
        gemm(view, f"{name}.q", "indexer", rows_C=rows_C, n=width, k=q_input, precision=precision),
        gemm(view, f"{name}.k_weights", "indexer", rows_C=rows_C, n=indexer.head_dim + indexer.n_heads, k=model.hidden,
             precision=precision),
        elementwise(view, f"{name}.rope_cache", "indexer", bytes_C=rows_C * (width + indexer.head_dim) * 4.0),
    ]  # fmt: skip
    if not scored_pairs_C.any():
        return works
    batch = view.batch
    keys_C = batch.group_context_R + batch.chunk_context_R + rows_C
    scores = Work(
        name=f"{name}.scores",
        kind="indexer",
        kernel="gemm",
        precision=precision,
        flops_C=scored_pairs_C * index_score_flops(model),
        hbm_bytes_C=keys_C * index_key_bytes(model, precision),
        activation_bytes_C=scored_pairs_C * _SCORE_BYTES + rows_C * width,
        shape={"m": rows_C, "n": float(np.max(keys_C)), "k": indexer.head_dim, "batch": indexer.n_heads},
    )
    chosen_C = rows_C * indexer.top_k
    choice = elementwise(
        view, f"{name}.top_k", "indexer", bytes_C=(scored_pairs_C + np.minimum(scored_pairs_C, chosen_C)) * _SCORE_BYTES
    )
    return [*works, scores, choice]


def sparse_core(view: View, name: str, indexer: IndexerSpec, *, heads: int, rows: RankBatch, prompts: bool) -> Work:
    """Return the core in which each query of `rows` reads its own `top_k` latents: no two queries share a tile, so that
    in decode every query reads its keys anew; prompts gather theirs from the L2, where a pass over the cache brought
    them."""
    step = view.step
    pairs_C = selected_pairs(
        indexer.top_k, tokens_C=rows.group_tokens_R, sequences_C=rows.group_sequences_R, context_C=rows.group_context_R
    )
    flops_per_pair = attention_core_flops(step.model, absorbed=True) * heads / step.model.attention.n_heads
    latent_bytes = kv_bytes_per_token(step.model, step.precision.kv)
    queries_C = rows.group_tokens_R / np.maximum(rows.group_sequences_R, 1e-12)
    held_C = rows.group_context_R + rows.group_tokens_R
    width = getattr(step.model.attention, "kv_lora_rank", 0) * 2
    return Work(
        name=name,
        kind="attention",
        kernel="attention_prefill" if prompts else "attention_decode",
        variant="sparse",
        precision=step.precision.attention,
        flops_C=pairs_C * flops_per_pair,
        hbm_bytes_C=(held_C if prompts else pairs_C) * latent_bytes,
        activation_bytes_C=rows.group_tokens_R * heads * width * 2.0,
        shape={
            "heads": heads,
            "sequences": rows.group_sequences_R,
            "queries": queries_C if prompts else step.queries_per_sequence,
            "kv_tokens": held_C if prompts else pairs_C,
            "latent": kv_values_per_token(step.model),
        },
    )
