"""What one device has to hold: weights, KV cache, activations and communication buffers [bytes]."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from workloads.contexts import draw_contexts
from workloads.indexer import index_key_bytes
from workloads.model import ModelSpec
from workloads.step import StepSpec
from workloads.zoo import count_parameters, expert_parameters, kv_bytes_per_token

FP8_SCALE_SHARE = 4.0 / (128 * 128)  # one FP32 scale per 128 x 128 weights (DeepSeek-V3, section 3.3.2)
WEIGHT_BYTES: Mapping[str, float] = {
    "bf16": 2.0,
    "fp8": 1.0 + FP8_SCALE_SHARE,
    "fp32": 4.0,
    "fp4": 0.5 + 1.0 / 16,
    "w4a8": 0.5 + 1.0 / 32,
    "w4": 0.5 + 1.0 / 32,
    "int4": 0.5 + 2.0 / 32,
}
ROUTER_WEIGHT_BYTES = 4.0  # the router computes in FP32 (LongCat modeling code)
NORMAL_BUFFER_BYTES = 1e9  # DeepEP's suggested NVLink plus RDMA buffers of its normal kernels are about 1 GB


@dataclass(frozen=True, kw_only=True)
class MemoryUse:
    """Bytes on the fullest device, by item."""

    items: Mapping[str, float]

    @property
    def total_bytes(self) -> float:
        """All items together."""
        return float(sum(self.items.values()))


def weight_items(step: StepSpec) -> dict[str, float]:
    """Return the weight bytes of one device: attention replica over its TP ranks, dense FFN over `dense_tp`, experts
    and their redundant copies over `ep` and `moe_tp`; indexers and router replicated, shared experts, embedding and LM
    head too, or split over the ranks of a group with replicated tokens; n-gram tables are spread over all ranks."""
    model, layout, precision = step.model, step.layout, step.precision
    counts, weight = count_parameters(model), WEIGHT_BYTES[precision.weights]
    copies = step.n_expert_slots / model.moe.n_routed_experts if model.moe.n_routed_experts else 1.0
    items = {
        "attention weights": counts.attention / layout.attention_tp * WEIGHT_BYTES[precision.attention_weights],
        "indexer weights": counts.indexer * WEIGHT_BYTES[precision.attention_weights],
        "dense FFN weights": counts.dense_ffn / layout.dense_tp * weight,
        "expert weights": counts.experts * copies / (layout.ep * layout.moe_tp) * weight,
        "shared expert weights": counts.shared_experts / layout.replicated_tp * weight,
        "router and norms": counts.router * ROUTER_WEIGHT_BYTES + counts.norms * 2.0,
        "embedding and LM head": (counts.embedding + counts.lm_head) * 2.0 / layout.replicated_tp
        + counts.ngram * 2.0 / step.n_gpus,
    }
    if step.mtp.n_draft and model.mtp:
        routed = n_mtp_experts(step) * expert_parameters(model)
        items["draft heads"] = (counts.mtp - routed + routed * copies / layout.ep) * weight
    return {name: value for name, value in items.items() if value}


def n_mtp_experts(step: StepSpec) -> int:
    """Routed experts of all draft heads: none where these are dense."""
    mtp = step.model.mtp
    return step.model.moe.n_routed_experts * mtp.n_layers if mtp and mtp.ffn == "moe" else 0


def kv_cache_bytes(step: StepSpec) -> float:
    """Return the KV cache of the fullest attention group's device, tokens of this step included."""
    contexts_GS = draw_contexts(step, np.random.default_rng(step.seed))
    n_sequences = step.batch.sequences_per_gpu * step.layout.attention_tp
    context = n_sequences * step.batch.context_tokens
    if contexts_GS is not None:
        n_sequences, context = contexts_GS.shape[1], float(contexts_GS.sum(axis=1).max())
    tokens = context + n_sequences * step.queries_per_sequence
    return tokens * cached_bytes_of_a_token(step)


def cached_bytes_per_token(
    model: ModelSpec, *, kv: str, index: str = "fp8", n_draft: int = 0, kv_shards: int = 1
) -> float:
    """Return the bytes that one GPU caches per token: `kv_shards` split attention's, indexers' keys are whole on each;
    `n_draft` draft heads have one attention each, and its indexer."""
    heads = n_draft if model.mtp else 0
    attentions = kv_bytes_per_token(model, kv) * (model.n_attentions + heads) / kv_shards
    return attentions + index_key_bytes(model, index) * (model.n_indexers + heads)


def cached_bytes_of_a_token(step: StepSpec) -> float:
    """Return the bytes cached for one token on each GPU that holds a part of its sequence, draft heads included."""
    return cached_bytes_per_token(
        step.model, kv=step.precision.kv, index=step.precision.attention_weights, n_draft=step.mtp.n_draft,
        kv_shards=step.kv_shards,
    )  # fmt: skip


def activation_bytes(step: StepSpec) -> float:
    """Return the peak of live activations: three residual streams and the widest of FFN, experts, attention, logits."""
    model, batch = step.model, step.batch
    tokens = batch.sequences_per_gpu * step.queries_per_sequence
    rows = tokens * model.moe.mean_ffn_experts
    n_logits = batch.sequences_per_gpu * (1 if step.phase == "prefill" else step.queries_per_sequence)
    heads = model.attention.n_heads * tokens
    head_width = getattr(model.attention, "kv_lora_rank", 0) + getattr(model.attention, "head_dim", 128)
    widest = max(
        tokens * model.dense_ffn * 6.0,
        rows * (3.0 * model.hidden + 6.0 * model.moe.expert_ffn),
        heads * head_width * 4.0,
        n_logits * model.vocab * 4.0,
    )
    return 3 * tokens * model.hidden * 2.0 + widest


def communication_buffer_bytes(step: StepSpec) -> float:
    """Return the buffers of the expert all-to-all.

    Low-latency kernels (DeepEP's LowLatencyLayout): send and receive buffer of experts x tokens x message, both
    doubled, where a combine message is BF16 hidden: 4 x experts x max_dispatch_tokens x 2H. Normal kernels: fixed.
    """
    if step.layout.ep == 1 or step.layout.replicated:
        return 0.0
    if step.all_to_all == "normal":
        return NORMAL_BUFFER_BYTES
    tokens = step.batch.max_dispatch_tokens or step.batch.sequences_per_gpu * step.queries_per_sequence
    return 4.0 * step.n_expert_slots * tokens * 2.0 * step.model.hidden


def memory_use(step: StepSpec) -> MemoryUse:
    """Return what the fullest device holds, by item [bytes]."""
    items = weight_items(step)
    items["KV cache"] = kv_cache_bytes(step)
    items["activations"] = activation_bytes(step)
    items["all-to-all buffers"] = communication_buffer_bytes(step)
    return MemoryUse(items=items)
