"""Faults of input that would otherwise end in an error from deep inside torch, or in none at all."""

from torch import Tensor

from workloads.model import MlaSpec, ModelSpec


def check_hidden(name: str, x_D: Tensor, weight: Tensor, hidden: int) -> None:
    """Raise ValueError unless `x_D` ends in `hidden` features and shares type and device with `weight`."""
    if x_D.ndim < 2 or x_D.shape[-1] != hidden:
        raise ValueError(f"{name}: got shape {tuple(x_D.shape)}; allowed [..., hidden={hidden}]")
    if x_D.dtype != weight.dtype:
        raise ValueError(f"{name}: got {x_D.dtype} for weights of {weight.dtype}; cast one of them with .to(...)")
    if x_D.device != weight.device:
        raise ValueError(f"{name}: got device {x_D.device} for weights on {weight.device}; move one with .to(...)")


def check_latent_attention(spec: ModelSpec) -> MlaSpec:
    """Return the attention of `spec`; raise ValueError unless it is MLA with a compressed query and an even rope."""
    attention = spec.attention
    if not isinstance(attention, MlaSpec) or attention.q_lora_rank < 1:
        raise ValueError(f"attention: got {attention} in {spec.name}; allowed an MlaSpec with q_lora_rank >= 1")
    if attention.qk_rope_head_dim % 2:
        raise ValueError(f"qk_rope_head_dim: got {attention.qk_rope_head_dim}; allowed an even number")
    return attention


def check_pool(n_selectable: int, top_k: int) -> None:
    """Raise ValueError unless `top_k` experts can be chosen from `n_selectable`."""
    if not 1 <= top_k <= n_selectable:
        raise ValueError(f"top_k: got {top_k}; allowed 1 to {n_selectable}, the experts that can be chosen")


def check_expert_parallel(n_routed_experts: int, n_ranks: int) -> None:
    """Raise ValueError unless `n_ranks` divides `n_routed_experts`."""
    if n_ranks < 1 or n_routed_experts % n_ranks:
        divisors = [n for n in range(1, n_routed_experts + 1) if n_routed_experts % n == 0]
        allowed = ", ".join(map(str, divisors))
        raise ValueError(f"ep={n_ranks} does not divide n_routed_experts={n_routed_experts}; use one of {allowed}")


def check_scmoe(spec: ModelSpec) -> None:
    """Raise ValueError unless `spec` is a model of ScMoE layers."""
    if spec.block != "scmoe":
        raise ValueError(f"block: got {spec.block!r} in {spec.name}; these layers are of block 'scmoe'")
    if not spec.gated_ffn:
        raise ValueError(f"gated_ffn: got False in {spec.name}; these layers have SwiGLU FFNs")
