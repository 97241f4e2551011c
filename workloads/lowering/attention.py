"""Attention blocks as work: MLA (absorbed in decode and where it is sparse, decompressed in prefill) and GQA.

A block comes in two parts: `prepare` (norm and projections up to the core) and `core` (core attention and output
projection), because schedules place them apart. H heads, T tokens of the attention group.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workloads.contexts import RankBatch
from workloads.lowering.kernels import ACTIVATION_BYTES, add_norm, elementwise, gathered, gemm, stream_bytes, summed
from workloads.lowering.sparse import indexer_works, reads_all, sparse_core
from workloads.lowering.view import View
from workloads.model import GqaSpec, MlaSpec
from workloads.ops import FloatArray, Work
from workloads.zoo import attention_core_flops, kv_bytes_per_token


@dataclass(frozen=True, kw_only=True)
class AttentionBlock:
    """The two parts of an attention block."""

    prepare: Sequence[Work]
    core: Sequence[Work]

    @property
    def all(self) -> list[Work]:
        """Both parts in a row."""
        return [*self.prepare, *self.core]


def attention_block(view: View, index: int) -> AttentionBlock:
    """Return attention block `index` of a layer (0, or 1 for the second of a ScMoE layer)."""
    name, tp = f"mla{index}", view.step.layout.attention_tp
    if isinstance(view.step.model.attention, GqaSpec):
        name = f"gqa{index}"
        block = _gqa(view, name, view.step.model.attention)
    else:
        block = _mla(view, index, view.step.model.attention)
    gather = gathered(view, name, group="attention_tp", size=tp, bytes_C=stream_bytes(view))
    sums = summed(view, name, group="attention_tp", size=tp, bytes_C=stream_bytes(view))
    norm = add_norm(view, f"{name}.norm")
    return AttentionBlock(prepare=[norm, *gather, *block.prepare], core=[*block.core, *sums])


def _mla(view: View, index: int, a: MlaSpec) -> AttentionBlock:
    """MLA, sparse where the model has an indexer and its choice leaves keys out; the indexer runs before the first of
    the attentions that share it."""
    name, indexer, weights = f"mla{index}", view.step.model.indexer, view.step.precision.attention_weights
    rows_C, heads = view.batch.group_tokens_R, a.n_heads // view.step.layout.attention_tp
    decoding, prompts = _decodes(view), _prompts(view)
    sparse = indexer if indexer and not reads_all(view, prompts) else None
    prepare, absorbed_C = _projections(view, name, a, heads), decoding.group_tokens_R
    core: list[Work] = []
    if indexer and index % indexer.sharing == 0:
        scored_C = decoding.group_pairs_R + (prompts.group_pairs_R if sparse else 0.0)
        prepare += indexer_works(view, f"indexer{index}", indexer, scored_pairs_C=scored_C)
    if prompts.group_tokens_R.any():
        if sparse:
            absorbed_C = rows_C
            core.append(sparse_core(view, _prompt_core(view, name), sparse, heads=heads, rows=prompts, prompts=True))
        else:
            kv_rows_C, width = prompts.group_context_R + prompts.group_tokens_R, a.qk_nope_head_dim + a.v_head_dim
            prepare.append(
                gemm(view, f"{name}.kv_b", "attention", rows_C=kv_rows_C, n=heads * width, k=a.kv_lora_rank,
                     precision=weights)
            )  # fmt: skip
            prepare.append(_assembled(view, name, a, heads=heads, kv_rows_C=kv_rows_C))
            core.append(_prefill_core(view, name, heads))
    if decoding.group_tokens_R.any():
        core.append(
            sparse_core(view, f"{name}.core", indexer, heads=heads, rows=decoding, prompts=False)
            if indexer
            else _decode_core(view, name, heads)
        )
    if absorbed_C.any():
        prepare.append(_absorption(view, f"{name}.absorb_k", rows_C=absorbed_C, n=a.kv_lora_rank,
                                   k=a.qk_nope_head_dim, heads=heads))  # fmt: skip
        core.append(_absorption(view, f"{name}.absorb_v", rows_C=absorbed_C, n=a.v_head_dim, k=a.kv_lora_rank,
                                heads=heads))  # fmt: skip
    out = gemm(view, f"{name}.o", "attention", rows_C=rows_C, n=view.step.model.hidden, k=heads * a.v_head_dim,
               precision=weights)  # fmt: skip
    return AttentionBlock(prepare=prepare, core=[*core, out])


def _projections(view: View, name: str, a: MlaSpec, heads: int) -> list[Work]:
    """The low-rank products of queries, keys and values, their norms, and the rotary embedding into the cache."""
    model, weights, rows_C = view.step.model, view.step.precision.attention_weights, view.batch.group_tokens_R
    qk_dim, latent = a.qk_nope_head_dim + a.qk_rope_head_dim, a.kv_lora_rank + a.qk_rope_head_dim
    down, rope = a.q_lora_rank + latent, heads * a.qk_rope_head_dim + latent
    q_input = a.q_lora_rank or model.hidden
    return [
        gemm(view, f"{name}.qkv_a", "attention", rows_C=rows_C, n=down, k=model.hidden, precision=weights),
        elementwise(view, f"{name}.lora_norm", "attention", bytes_C=rows_C * down * 4.0),
        gemm(view, f"{name}.q_b", "attention", rows_C=rows_C, n=heads * qk_dim, k=q_input, precision=weights),
        elementwise(view, f"{name}.rope_cache", "attention", bytes_C=rows_C * rope * 4.0),
    ]


def _assembled(view: View, name: str, a: MlaSpec, *, heads: int, kv_rows_C: FloatArray) -> Work:
    """The pass that makes whole keys and queries for the decompressed core: each head's key is copied beside the rope
    key that all heads share, the turned part of each query back into its place.

    DeepSeek's training trace has it as copies before the forward core (profile-data @4496024), SGLang's prefill too
    (models/deepseek_v2.py, forward_normal).
    """
    key_values = heads * (2.0 * a.qk_nope_head_dim + a.qk_rope_head_dim)
    query_values = heads * 2.0 * a.qk_rope_head_dim
    moved_C = ACTIVATION_BYTES * (kv_rows_C * key_values + _prompts(view).group_tokens_R * query_values)
    return elementwise(view, f"{name}.assemble", "attention", bytes_C=moved_C)


def _absorption(view: View, name: str, *, rows_C: FloatArray, n: int, k: int, heads: int) -> Work:
    """One head-wise product with a half of kv_b, into the latent space or out of it."""
    return gemm(view, name, "attention", rows_C=rows_C, n=n, k=k, precision="bf16", batch=heads)


def _gqa(view: View, name: str, a: GqaSpec) -> AttentionBlock:
    model, step, weights = view.step.model, view.step, view.step.precision.attention_weights
    rows_C, heads = view.batch.group_tokens_R, a.n_heads // step.layout.attention_tp
    kv_heads = a.n_kv_heads / step.kv_shards
    qkv = (heads + 2 * kv_heads) * a.head_dim
    prepare = [
        gemm(view, f"{name}.qkv", "attention", rows_C=rows_C, n=qkv, k=model.hidden, precision=weights),
        elementwise(view, f"{name}.rope_cache", "attention", bytes_C=rows_C * qkv * 4.0),
    ]
    core: list[Work] = []
    if step.phase == "prefill" or step.chunks:
        core.append(_prefill_core(view, name, heads))
    if step.phase == "decode" and _decoding_rows(view).any():
        core.append(_decode_core(view, name, heads))
    out = gemm(view, f"{name}.o", "attention", rows_C=rows_C, n=model.hidden, k=heads * a.head_dim, precision=weights)
    return AttentionBlock(prepare=prepare, core=[*core, out])


def _decoding_rows(view: View) -> FloatArray:
    """Tokens of the step that are no prompt's."""
    return view.batch.group_tokens_R - view.batch.chunk_tokens_R


def _decodes(view: View) -> RankBatch:
    """The decoding sequences of the step as a batch of their own: none in a prefill."""
    batch, none_C = view.batch, view.zeros_C
    if view.step.phase == "prefill":
        return replace(
            batch, group_tokens_R=none_C, group_sequences_R=none_C, group_context_R=none_C, group_pairs_R=none_C
        )
    return replace(batch, group_tokens_R=_decoding_rows(view))


def _prompts(view: View) -> RankBatch:
    """The prompts of the step as a batch of their own: all of a prefill, the chunks of a decode step."""
    batch = view.batch
    if view.step.phase == "prefill":
        return batch
    return replace(
        batch,
        group_tokens_R=batch.chunk_tokens_R,
        group_sequences_R=batch.chunk_sequences_R,
        group_context_R=batch.chunk_context_R,
        group_pairs_R=batch.chunk_pairs_R,
    )


def _prompt_core(view: View, name: str) -> str:
    return f"{name}.chunk_core" if view.step.chunks else f"{name}.core"


def _queries_per_prompt(view: View, prompts: RankBatch) -> FloatArray | int:
    """New tokens of a prompt; 1 where a rank has none."""
    if view.step.chunks is None:
        return view.step.queries_per_sequence
    sequences_C = prompts.group_sequences_R
    return np.where(sequences_C > 0.0, prompts.group_tokens_R / np.where(sequences_C > 0.0, sequences_C, 1.0), 1.0)


def _decode_core(view: View, name: str, heads: int) -> Work:
    """Every query of a sequence reads the same cached tokens once: FLOPs per (query, key) pair, bytes per key."""
    step, batch = view.step, view.batch
    flops_per_pair = attention_core_flops(step.model, absorbed=True) * heads / step.model.attention.n_heads
    kv_bytes = kv_bytes_per_token(step.model, step.precision.kv) / step.kv_shards
    width = getattr(step.model.attention, "kv_lora_rank", 0) * 2 or getattr(step.model.attention, "head_dim", 0) * 2
    return Work(
        name=f"{name}.core",
        kind="attention",
        kernel="attention_decode",
        precision=step.precision.attention,
        flops_C=batch.group_pairs_R * flops_per_pair,
        hbm_bytes_C=batch.group_context_R * kv_bytes,
        activation_bytes_C=_decoding_rows(view) * heads * width * 2.0,
        shape={
            "heads": heads,
            "sequences": batch.group_sequences_R,
            "queries": step.queries_per_sequence,
            "kv_tokens": batch.group_context_R,
            "latent": _latent(view),
        },
        cache=step.precision.kv,
    )


def _latent(view: View) -> int:
    """Values that one token's latent and rope key hold; 0 without a latent cache."""
    a = view.step.model.attention
    return 0 if isinstance(a, GqaSpec) else a.kv_lora_rank + a.qk_rope_head_dim


def _prefill_core(view: View, name: str, heads: int) -> Work:
    step, batch, a = view.step, _prompts(view), view.step.model.attention
    flops_per_pair = attention_core_flops(step.model, absorbed=False) * heads / a.n_heads
    if isinstance(a, GqaSpec):
        q_width, kv_width = 2.0 * a.head_dim * heads, 2.0 * a.head_dim * a.n_kv_heads / step.kv_shards
    else:
        q_width = heads * (a.qk_nope_head_dim + a.qk_rope_head_dim + a.v_head_dim)
        kv_width = q_width
    keys_C: FloatArray = np.asarray(batch.group_context_R + batch.group_tokens_R)
    return Work(
        name=_prompt_core(view, name),
        kind="attention",
        kernel="attention_prefill",
        precision=step.precision.attention,
        flops_C=batch.group_pairs_R * flops_per_pair,
        hbm_bytes_C=view.zeros_C,
        activation_bytes_C=2.0 * (batch.group_tokens_R * q_width + keys_C * kv_width),
        shape={
            "heads": heads,
            "sequences": batch.group_sequences_R,
            "queries": _queries_per_prompt(view, batch),
            "kv_tokens": keys_C,
            "latent": _latent(view),
        },
    )
