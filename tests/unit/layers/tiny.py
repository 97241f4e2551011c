"""Small models of LongCat's shape for the tests of the layers."""

from workloads.model import MlaSpec, ModelSpec, MoeSpec, MtpSpec


def tiny_spec(
    *, hidden=32, n_layers=2, n_heads=4, q_lora_rank=16, kv_lora_rank=8, n_routed=8, n_zero=4, top_k=3, expert_ffn=16,
    vocab=50,
):  # fmt: skip
    return ModelSpec(
        name="tiny", title="Tiny", block="scmoe", hidden=hidden, n_layers=n_layers, dense_ffn=48, vocab=vocab,
        attention=MlaSpec(
            n_heads=n_heads, q_lora_rank=q_lora_rank, kv_lora_rank=kv_lora_rank, qk_nope_head_dim=12,
            qk_rope_head_dim=8, v_head_dim=10,
        ),
        moe=MoeSpec(
            n_routed_experts=n_routed, n_zero_experts=n_zero, top_k=top_k, mean_ffn_experts=2.0, expert_ffn=expert_ffn,
            correction_bias=True,
        ),
        mtp=MtpSpec(n_layers=1, ffn="dense"),
    )  # fmt: skip


def longcat_flash_spec():
    """The published configuration (config.json of LongCat-Flash-Chat)."""
    return ModelSpec(
        name="longcat_flash", title="LongCat-Flash", block="scmoe", hidden=6144, n_layers=28, dense_ffn=12288,
        vocab=131072,
        attention=MlaSpec(
            n_heads=64, q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128
        ),
        moe=MoeSpec(
            n_routed_experts=512, n_zero_experts=256, top_k=12, mean_ffn_experts=8.0, expert_ffn=2048,
            correction_bias=True,
        ),
        mtp=MtpSpec(n_layers=1, ffn="dense"),
    )  # fmt: skip
