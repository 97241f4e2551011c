"""The models that longsim knows by name, and exact parameter, KV-cache and FLOP arithmetic for any of them.

Shapes are from each model's published config.json; sources beside each function.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workloads.indexer import VALUE_BYTES, index_score_flops, indexer_parameters
from workloads.model import GqaSpec, IndexerSpec, MlaSpec, ModelSpec, MoeSpec, MtpSpec, NgramSpec
from workloads.scmoe_models import SCMOE_MODELS


def longcat_flash() -> ModelSpec:
    """LongCat-Flash-Chat, 560 B (arXiv 2509.01322, section 2.4; config.json of the release)."""
    return ModelSpec(
        name="longcat_flash", title="LongCat-Flash", block="scmoe", hidden=6144, n_layers=28,
        attention=_longcat_mla(n_heads=64), dense_ffn=12288,
        moe=MoeSpec(
            n_routed_experts=512, n_zero_experts=256, top_k=12, mean_ffn_experts=8.0, expert_ffn=2048,
            correction_bias=True,
        ),
        vocab=131072, mtp=MtpSpec(n_layers=1, ffn="dense"),
    )  # fmt: skip


def longcat_flash_lite() -> ModelSpec:
    """LongCat-Flash-Lite, 68.5 B of which 31.4 B are n-gram tables (config.json of its FP8 copies)."""
    return ModelSpec(
        name="longcat_flash_lite", title="LongCat-Flash-Lite", block="scmoe", hidden=3072, n_layers=14,
        attention=_longcat_mla(n_heads=32), dense_ffn=6144,
        moe=MoeSpec(
            n_routed_experts=256, n_zero_experts=128, top_k=12, mean_ffn_experts=8.0, expert_ffn=1024,
            correction_bias=True,
        ),
        vocab=131072, mtp=MtpSpec(n_layers=1, ffn="dense"),
        ngram=NgramSpec(ratio=78, n_neighbours=4, n_splits=4),
    )  # fmt: skip


def longcat_2() -> ModelSpec:
    """LongCat-2.0, 1.6 T of which 135 B are n-gram tables (announcement of 2026-06-30; config.json of the release)."""
    return ModelSpec(
        name="longcat_2", title="LongCat-2.0", block="scmoe", hidden=8192, n_layers=38,
        attention=_longcat_mla(n_heads=64), dense_ffn=12288,
        moe=MoeSpec(
            n_routed_experts=768, n_zero_experts=128, top_k=12, mean_ffn_experts=8.0, expert_ffn=2048,
            correction_bias=True,
        ),
        vocab=163840,
        indexer=IndexerSpec(n_heads=32, head_dim=128, top_k=2048, n_initial=16, n_local=1024, sharing=2),
        mtp=MtpSpec(n_layers=3, ffn="dense"),
        ngram=NgramSpec(ratio=100.567, n_neighbours=5, n_splits=4),
    )  # fmt: skip


def deepseek_v3() -> ModelSpec:
    """DeepSeek-V3 / R1, 671 B (arXiv 2412.19437, section 4.2)."""
    return ModelSpec(
        name="deepseek_v3", title="DeepSeek-V3", block="moe", hidden=7168, n_layers=61,
        attention=MlaSpec(
            n_heads=128, q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128
        ),
        dense_ffn=18432, n_dense_layers=3,
        moe=MoeSpec(
            n_routed_experts=256, n_zero_experts=0, top_k=8, mean_ffn_experts=8.0, expert_ffn=2048,
            n_shared_experts=1, shared_ffn=2048, correction_bias=True, n_expert_groups=8, n_limited_groups=4,
        ),
        vocab=129280, mtp=MtpSpec(n_layers=1, ffn="moe"),
    )  # fmt: skip


def kimi_k2() -> ModelSpec:
    """Kimi-K2, 1.03 T (arXiv 2507.20534, table 2)."""
    return ModelSpec(
        name="kimi_k2", title="Kimi-K2", block="moe", hidden=7168, n_layers=61,
        attention=MlaSpec(
            n_heads=64, q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128
        ),
        dense_ffn=18432, n_dense_layers=1,
        moe=MoeSpec(
            n_routed_experts=384, n_zero_experts=0, top_k=8, mean_ffn_experts=8.0, expert_ffn=2048,
            n_shared_experts=1, shared_ffn=2048, correction_bias=True,
        ),
        vocab=163840,
    )  # fmt: skip


def qwen3_235b() -> ModelSpec:
    """Qwen3-235B-A22B (arXiv 2505.09388, table 2; config.json of the release)."""
    return ModelSpec(
        name="qwen3_235b", title="Qwen3-235B-A22B", block="moe", hidden=4096, n_layers=94,
        attention=GqaSpec(n_heads=64, n_kv_heads=4, head_dim=128, qk_norm=True), dense_ffn=12288,
        moe=MoeSpec(n_routed_experts=128, n_zero_experts=0, top_k=8, mean_ffn_experts=8.0, expert_ffn=1536),
        vocab=151936,
    )  # fmt: skip


def mixtral_8x7b() -> ModelSpec:
    """Mixtral-8x7B (arXiv 2401.04088, table 1)."""
    return ModelSpec(
        name="mixtral_8x7b", title="Mixtral-8x7B", block="moe", hidden=4096, n_layers=32,
        attention=GqaSpec(n_heads=32, n_kv_heads=8, head_dim=128), dense_ffn=14336,
        moe=MoeSpec(n_routed_experts=8, n_zero_experts=0, top_k=2, mean_ffn_experts=2.0, expert_ffn=14336),
        vocab=32000,
    )  # fmt: skip


def tiny() -> ModelSpec:
    """A ScMoE model small enough for tests and for real layers on a laptop's CPU."""
    return ModelSpec(
        name="tiny", title="Tiny ScMoE", block="scmoe", hidden=64, n_layers=2,
        attention=MlaSpec(
            n_heads=4, q_lora_rank=32, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=8
        ),
        dense_ffn=128,
        moe=MoeSpec(
            n_routed_experts=8, n_zero_experts=4, top_k=3, mean_ffn_experts=2.0, expert_ffn=32, correction_bias=True
        ),
        vocab=256, mtp=MtpSpec(n_layers=1, ffn="dense"),
    )  # fmt: skip


def _longcat_mla(*, n_heads: int) -> MlaSpec:
    return MlaSpec(
        n_heads=n_heads, q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128
    )


ZOO: Mapping[str, Callable[[], ModelSpec]] = {
    make.__name__: make
    for make in (longcat_flash, longcat_flash_lite, longcat_2, deepseek_v3, kimi_k2, qwen3_235b, mixtral_8x7b, tiny)
} | SCMOE_MODELS


@dataclass(frozen=True, kw_only=True)
class ParameterCounts:
    """Weights by kind. `mtp` (draft heads without embeddings) is no part of `total`."""

    attention: int
    indexer: int
    dense_ffn: int
    experts: int
    shared_experts: int
    router: int
    norms: int
    embedding: int
    lm_head: int
    ngram: int
    mtp: int

    @property
    def total(self) -> int:
        """All weights of the model but the draft heads."""
        body = (
            self.attention
            + self.indexer
            + self.dense_ffn
            + self.experts
            + self.shared_experts
            + self.router
            + self.norms
        )
        return body + self.embedding + self.lm_head + self.ngram


def attention_parameters(model: ModelSpec) -> int:
    """Return the projection weights of one attention block (norms of the low-rank vectors excluded)."""
    a, hidden = model.attention, model.hidden
    if isinstance(a, GqaSpec):
        return hidden * a.head_dim * (2 * a.n_heads + 2 * a.n_kv_heads)
    qk_head_dim = a.qk_nope_head_dim + a.qk_rope_head_dim
    q = (hidden + a.n_heads * qk_head_dim) * a.q_lora_rank if a.q_lora_rank else hidden * a.n_heads * qk_head_dim
    kv_a = hidden * (a.kv_lora_rank + a.qk_rope_head_dim)
    kv_b = a.kv_lora_rank * a.n_heads * (a.qk_nope_head_dim + a.v_head_dim)
    return q + kv_a + kv_b + a.n_heads * a.v_head_dim * hidden


def attention_biases(model: ModelSpec) -> int:
    """Return the biases of the projections of one attention block."""
    a = model.attention
    if not isinstance(a, GqaSpec):
        return 0
    qkv = (a.n_heads + 2 * a.n_kv_heads) * a.head_dim
    return a.qkv_bias * qkv + a.o_bias * model.hidden


def attention_norms(model: ModelSpec) -> int:
    """Return the norm weights inside one attention block."""
    a = model.attention
    if isinstance(a, GqaSpec):
        return 2 * a.head_dim if a.qk_norm else 0
    return a.q_lora_rank + a.kv_lora_rank


def n_moe_layers(model: ModelSpec) -> int:
    """Return how many layers have an MoE block."""
    return 0 if model.block == "dense" else max(0, model.n_layers - model.n_dense_layers)


def n_dense_ffns(model: ModelSpec) -> int:
    """Return how many dense FFNs the body has: two in each ScMoE layer, one in each layer without an MoE block."""
    return 2 * model.n_layers if model.block == "scmoe" else model.n_layers - n_moe_layers(model)


def expert_parameters(model: ModelSpec) -> int:
    """Return the weights of one routed expert (gate, up, down; without a gate up and down)."""
    return (model.n_up + 1) * model.hidden * model.moe.expert_ffn


def count_parameters(model: ModelSpec) -> ParameterCounts:
    """Return every weight of `model` by kind, to the last one (FFNs and RMSNorm without biases)."""
    moe, hidden, n_moe = model.moe, model.hidden, n_moe_layers(model)
    dense = (model.n_up + 1) * hidden * model.dense_ffn
    n_choices = moe.n_routed_experts + moe.n_zero_experts
    router = n_choices * hidden + (n_choices if moe.correction_bias else 0)
    shared = moe.n_shared_experts * (model.n_up + 1) * hidden * moe.shared_ffn
    attention = attention_parameters(model) + attention_biases(model)
    ngram = 0
    if model.ngram:
        ngram = round(model.ngram.ratio * model.vocab) * hidden + hidden * hidden
    norms_per_layer = 2 * model.attentions_per_layer * hidden + model.attentions_per_layer * attention_norms(model)
    return ParameterCounts(
        attention=attention * model.n_attentions,
        indexer=indexer_parameters(model) * model.n_indexers,
        dense_ffn=dense * n_dense_ffns(model),
        experts=expert_parameters(model) * moe.n_routed_experts * n_moe,
        shared_experts=shared * n_moe,
        router=router * n_moe,
        norms=norms_per_layer * model.n_layers + hidden,
        embedding=model.vocab * hidden,
        lm_head=0 if model.tied_embeddings else model.vocab * hidden,
        ngram=ngram,
        mtp=_mtp_parameters(model, attention + indexer_parameters(model), router + shared, dense),
    )


def _mtp_parameters(model: ModelSpec, attention: int, router_and_shared: int, dense: int) -> int:
    """One draft head: two input norms, a 2h -> h projection, one attention, one FFN, two norms and a final one."""
    if model.mtp is None:
        return 0
    moe = router_and_shared + model.moe.n_routed_experts * expert_parameters(model)
    ffn = dense if model.mtp.ffn == "dense" else moe
    head = attention + attention_norms(model) + ffn + 2 * model.hidden**2 + 5 * model.hidden
    return model.mtp.n_layers * head


def activated_parameters(model: ModelSpec, ffn_experts: float) -> float:
    """Return the weights that one token uses with `ffn_experts` routed FFN experts, LM head counted; input
    embedding, n-gram tables and indexers not: so the published 18.6, 27 and 31.3 B of LongCat-Flash come out."""
    counts = count_parameters(model)
    routed = ffn_experts * expert_parameters(model) * n_moe_layers(model)
    head = counts.lm_head or counts.embedding
    return counts.attention + counts.dense_ffn + counts.shared_experts + counts.router + counts.norms + head + routed


def kv_values_per_token(model: ModelSpec) -> int:
    """Return the numbers cached per token and attention block: the latent and the rope key, or keys and values."""
    a = model.attention
    if isinstance(a, GqaSpec):
        return 2 * a.n_kv_heads * a.head_dim
    return a.kv_lora_rank + a.qk_rope_head_dim


def kv_bytes_per_token(model: ModelSpec, precision: str) -> float:
    """Return the bytes cached per token and attention block.

    FP8 MLA cache (FlashMLA's layout): latent in FP8 with one FP32 scale per 128 values, rope key in BF16, 656 B for a
    512 + 64 latent; FP8 keys and values of GQA are one byte each.
    """
    a = model.attention
    if precision in VALUE_BYTES:
        return VALUE_BYTES[precision] * kv_values_per_token(model)
    if isinstance(a, GqaSpec):
        return float(kv_values_per_token(model))
    return a.kv_lora_rank + 4.0 * a.kv_lora_rank / 128 + 2.0 * a.qk_rope_head_dim


def attention_core_flops(model: ModelSpec, *, absorbed: bool) -> float:
    """Return the FLOPs of one query token on one cached token in one attention block, over all heads."""
    a = model.attention
    if isinstance(a, GqaSpec):
        return 4.0 * a.n_heads * a.head_dim
    if absorbed:
        return 2.0 * a.n_heads * (2 * a.kv_lora_rank + a.qk_rope_head_dim)
    return 2.0 * a.n_heads * (a.qk_nope_head_dim + a.qk_rope_head_dim + a.v_head_dim)


def decode_flops_per_token(model: ModelSpec, *, context_tokens: float, ffn_experts: float) -> float:
    """Return the FLOPs to decode one token: 2 per activated matrix weight, plus attention over the context."""
    counts = count_parameters(model)
    biases = attention_biases(model) * model.n_attentions
    if model.moe.correction_bias:
        biases += n_moe_layers(model) * (model.moe.n_routed_experts + model.moe.n_zero_experts)
    matrices = activated_parameters(model, ffn_experts) - counts.norms - biases
    read = min(context_tokens, model.indexer.top_k) if model.indexer else context_tokens
    core = attention_core_flops(model, absorbed=True) * read * model.n_attentions
    scores = index_score_flops(model) * context_tokens * model.n_indexers
    return 2.0 * (matrices + counts.indexer) + core + scores
