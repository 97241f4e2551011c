"""The ScMoE paper's language models (arXiv 2404.05019, table 8): GPT shapes, one shared and one routed expert in every
second block.

A pair of blocks is one ScMoE layer: the first block's MLP is FFN_0, the shared expert FFN_1, as wide as a routed one.
Multi-head attention is GQA with a key head for each query head. Assumed, not from the table: FFNs of 4 x hidden,
GPT-2's vocabulary with tied embeddings, heads of 64 (Medium) and 128 (XL). Learned positions and biases are not
counted. LLaMA2-MoE (a shortcut in every block) and SwinV2-MoE-S (widths that change from stage to stage, attention in
windows) are not expressible as a `ModelSpec`.
"""

from workloads.model import GqaSpec, ModelSpec, MoeSpec

_GPT2_VOCAB = 50257


def gpt2_moe_medium() -> ModelSpec:
    """GPT2-MoE-Medium: 24 blocks of 1024, 16 experts in every second one."""
    return _gpt(
        "gpt2_moe_medium", "GPT2-MoE-Medium (ScMoE)", hidden=1024, n_pairs=12, head_dim=64, n_experts=16
    )  # fmt: skip


def gpt3_moe_xl() -> ModelSpec:
    """GPT3-MoE-XL: 24 blocks of 2048, 8 experts in every second one."""
    return _gpt("gpt3_moe_xl", "GPT3-MoE-XL (ScMoE)", hidden=2048, n_pairs=12, head_dim=128, n_experts=8)


def _gpt(name: str, title: str, *, hidden: int, n_pairs: int, head_dim: int, n_experts: int) -> ModelSpec:
    n_heads = hidden // head_dim
    return ModelSpec(
        name=name, title=title, block="scmoe", hidden=hidden, n_layers=n_pairs, shortcut=2,
        attention=GqaSpec(n_heads=n_heads, n_kv_heads=n_heads, head_dim=head_dim),
        dense_ffn=4 * hidden, gated_ffn=False, vocab=_GPT2_VOCAB, tied_embeddings=True,
        moe=MoeSpec(n_routed_experts=n_experts, n_zero_experts=0, top_k=1, mean_ffn_experts=1.0, expert_ffn=4 * hidden),
    )  # fmt: skip


SCMOE_MODELS = {make.__name__: make for make in (gpt2_moe_medium, gpt3_moe_xl)}
