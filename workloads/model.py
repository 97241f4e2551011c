"""The specification of a model: shapes only, no weights and no hardware."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class MlaSpec:
    """Multi-head latent attention (DeepSeek-V2, section 2.1). `q_lora_rank` 0 means an uncompressed query."""

    n_heads: int
    q_lora_rank: int
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int


@dataclass(frozen=True, kw_only=True)
class IndexerSpec:
    """The indexer of sparse attention (DeepSeek Sparse Attention, arXiv 2512.02556, section 2.1): `n_heads` queries of
    `head_dim` score one key of `head_dim` per cached token, and attention reads the `top_k` tokens of highest score.

    `n_initial`, `n_local`: first and last tokens that are read whatever their score; they are part of the `top_k`
    (LongCat Sparse Attention, arXiv 2608.01662: streaming-aware indexing). `sharing`: attentions in a row that read one
    indexer's choice (cross-layer indexing).
    """

    n_heads: int
    head_dim: int
    top_k: int
    n_initial: int = 0
    n_local: int = 0
    sharing: int = 1


@dataclass(frozen=True, kw_only=True)
class GqaSpec:
    """Grouped-query attention. `qk_norm`: RMSNorm over head_dim on queries and keys (Qwen3); `qkv_bias`, `o_bias`:
    biases of the projections into and out of the heads."""

    n_heads: int
    n_kv_heads: int
    head_dim: int
    qk_norm: bool = False
    qkv_bias: bool = False
    o_bias: bool = False


@dataclass(frozen=True, kw_only=True)
class MoeSpec:
    """A mixture-of-experts block: N routed FFN experts, Z zero-computation experts, top-K over N + Z.

    `mean_ffn_experts` is K_e, the mean number of FFN experts per token that the router was trained to choose;
    equal to `top_k` where there are no zero-computation experts. `n_shared_experts` each of `shared_ffn` width.
    A token's experts lie in at most `n_limited_groups` of `n_expert_groups` groups of neighbouring experts.
    """

    n_routed_experts: int
    n_zero_experts: int
    top_k: int
    mean_ffn_experts: float
    expert_ffn: int
    n_shared_experts: int = 0
    shared_ffn: int = 0
    correction_bias: bool = False
    n_expert_groups: int = 1
    n_limited_groups: int = 1

    @property
    def group_limited(self) -> bool:
        """Whether a token may not choose from every group."""
        return self.n_limited_groups < self.n_expert_groups


Shortcut = Literal[0, 1, 2, 3]
NO_EXPERTS = MoeSpec(n_routed_experts=0, n_zero_experts=0, top_k=0, mean_ffn_experts=0.0, expert_ffn=0)


@dataclass(frozen=True, kw_only=True)
class MtpSpec:
    """Multi-token-prediction heads: `n_layers` blocks, each one attention and a dense FFN or an MoE block."""

    n_layers: int
    ffn: Literal["dense", "moe"]


@dataclass(frozen=True, kw_only=True)
class NgramSpec:
    """N-gram embedding tables: (neighbours - 1) * splits sub-tables of about ratio * vocab rows."""

    ratio: float
    n_neighbours: int
    n_splits: int


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One transformer language model.

    `block`: "scmoe" is LongCat's layer (two attentions, two dense FFNs, one shortcut-connected MoE; `shortcut`: the
    state that it reads, as in the ScMoE paper: 3 the layer's input, 2 after the first attention, LongCat's, 1 after the
    first FFN, 0 after the second attention: no shortcut); "moe" a conventional layer (one attention, one MoE; the first
    `n_dense_layers` have a dense FFN in its place); "dense" a layer of one attention and one dense FFN throughout,
    whose `moe` is NO_EXPERTS. `indexer`: MLA reads only the part of its context that the indexer chooses.
    `gated_ffn`: FFNs and experts are SwiGLU, three matrices; false: up, activation, down, as in GPT.
    """

    name: str
    title: str
    block: Literal["scmoe", "moe", "dense"]
    hidden: int
    n_layers: int
    attention: MlaSpec | GqaSpec
    dense_ffn: int
    vocab: int
    moe: MoeSpec = NO_EXPERTS
    n_dense_layers: int = 0
    tied_embeddings: bool = False
    indexer: IndexerSpec | None = None
    shortcut: Shortcut = 2
    gated_ffn: bool = True
    mtp: MtpSpec | None = None
    ngram: NgramSpec | None = None

    @property
    def n_up(self) -> int:
        """Products into an FFN's inner width, run as one: gate and up, or up alone."""
        return 2 if self.gated_ffn else 1

    @property
    def attentions_per_layer(self) -> int:
        """Attention blocks in one layer: 2 in a ScMoE layer, else 1."""
        return 2 if self.block == "scmoe" else 1

    @property
    def n_attentions(self) -> int:
        """Attention blocks of the body, MTP heads excluded."""
        return self.n_layers * self.attentions_per_layer

    @property
    def n_indexers(self) -> int:
        """Sparse-attention indexers of the body, MTP heads excluded."""
        return self.n_attentions // self.indexer.sharing if self.indexer else 0
