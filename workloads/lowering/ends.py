"""What stands before and after the layers: embedding, LM head, sampling and the draft heads.

C rank classes.
"""

from dataclasses import replace

import numpy as np

from workloads.lowering.attention import attention_block
from workloads.lowering.ffn import dense_ffn, shared_experts
from workloads.lowering.kernels import ACTIVATION_BYTES, add_norm, collective, elementwise, gemm
from workloads.lowering.moe import moe_block
from workloads.lowering.view import View
from workloads.ops import FloatArray, Work


def embedding(view: View) -> list[Work]:
    """Return the look-up of the input embedding, with the n-gram gathers and their projections where there are any."""
    model, tokens_C = view.step.model, view.batch.tokens_R
    gather = elementwise(view, "embedding.gather", "embedding", bytes_C=tokens_C * model.hidden * 4.0)
    if model.ngram is None:
        return [gather]
    n_tables = (model.ngram.n_neighbours - 1) * model.ngram.n_splits
    lookup = elementwise(view, "embedding.ngram_gather", "embedding", bytes_C=tokens_C * model.hidden * 4.0)
    project = gemm(
        view, "embedding.ngram_projection", "embedding", rows_C=tokens_C, n=model.hidden, k=model.hidden / n_tables,
        precision="bf16", batch=n_tables,
    )  # fmt: skip
    return [gather, lookup, project]


def _logit_rows(view: View) -> FloatArray:
    """Positions that need logits: every query of a decode step, the last token of a prompt."""
    batch, tp = view.batch, view.step.layout.token_shards
    if view.step.phase == "prefill":
        return batch.group_sequences_R / tp
    return batch.tokens_R + (batch.chunk_sequences_R - batch.chunk_tokens_R) / tp


def lm_head(view: View, prefix: str = "", rows_C: FloatArray | None = None) -> list[Work]:
    """Return the final norm and the product with the output embedding (BF16), or the rank's share of the vocabulary and
    the gathering of all logits."""
    model, kind = view.step.model, "mtp" if prefix else "lm_head"
    rows_C = _logit_rows(view) if rows_C is None else rows_C
    tp = view.step.layout.replicated_tp
    width = model.vocab / tp
    product = gemm(view, f"{prefix}lm_head", kind, rows_C=rows_C, n=width, k=model.hidden, precision="bf16")
    gather = collective(
        view, f"{prefix}logits.all_gather", kernel="all_gather", group="attention_tp", size=tp,
        shard_bytes_C=rows_C * width * ACTIVATION_BYTES,
    )  # fmt: skip
    return [add_norm(view, f"{prefix}final_norm"), product, *gather]


def sampling(view: View) -> list[Work]:
    """Return the pass over the logits that picks tokens and verifies drafts (FP32 logits, read twice)."""
    return [elementwise(view, "sampling", "sampling", bytes_C=_logit_rows(view) * view.step.model.vocab * 8.0)]


def draft_heads(view: View) -> list[Work]:
    """Return the draft heads in turn, each with its LM head.

    The first runs over every token of the step (it fills its own KV cache), later ones over one token per sequence.
    """
    model = view.step.model
    if model.mtp is None or view.step.mtp.n_draft == 0 or view.step.phase == "prefill":
        return []
    works: list[Work] = []
    for draft in range(view.step.mtp.n_draft):
        works += _draft_head(view if draft == 0 else _one_token_each(view), f"mtp{draft}.")
    return works


def _one_token_each(view: View) -> View:
    batch = view.batch
    step = replace(view.step, mtp=replace(view.step.mtp, n_draft=0), chunks=None)
    kept_C = batch.group_sequences_R / np.maximum(batch.group_tokens_R, 1e-9)  # a group may have nothing to do
    alike_C = view.classes.n_alike_C
    kept = float((batch.group_sequences_R * alike_C).sum() / (batch.group_tokens_R * alike_C).sum())
    one = replace(
        batch,
        tokens_R=batch.tokens_R * kept_C,
        group_tokens_R=batch.group_tokens_R * kept_C,
        group_pairs_R=batch.group_context_R + batch.group_sequences_R,
        chunk_tokens_R=view.zeros_C,
        chunk_sequences_R=view.zeros_C,
        chunk_context_R=view.zeros_C,
        chunk_pairs_R=view.zeros_C,
    )
    names = [name for name in view.loads.__dataclass_fields__ if name != "active_LR"]
    loads = replace(view.loads, **{name: getattr(view.loads, name) * kept for name in names})
    return replace(view, step=step, batch=one, loads=loads)


def _draft_head(view: View, prefix: str) -> list[Work]:
    model, precision = view.step.model, view.step.precision.weights
    join = gemm(
        view, "join", "mtp", rows_C=view.batch.tokens_R, n=model.hidden, k=2 * model.hidden, precision=precision
    )
    attention = attention_block(view, 0)
    works = [add_norm(view, "input_norm"), join, *attention.all, add_norm(view, "post_norm")]
    if model.mtp and model.mtp.ffn == "moe":
        moe = moe_block(view, view.loads.rows_LRX.shape[0] - 1)
        works += [*shared_experts(view), *moe.router, *moe.dispatch.all, *moe.experts, *moe.combine.all]
    else:
        works += dense_ffn(view, "ffn").all
    sequences_C = view.batch.group_sequences_R / view.step.layout.token_shards
    head = lm_head(view, "mtp.", sequences_C)
    kept = {"dispatch", "combine", "attention_tp", "dense_tp"}  # communication keeps its kind
    return [
        replace(work, name=prefix + work.name.removeprefix("mtp."), kind=work.kind if work.kind in kept else "mtp")
        for work in (*works, *head)
    ]
