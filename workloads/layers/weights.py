"""Weights: random ones, and those of the released model as `transformers` names them."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

# (name in transformers' LongcatFlashForCausalLM, name here)
RELEASED_NAMES = (
    (r"^model\.", ""),
    (r"^embed_tokens\.", "embed."),
    (r"^lm_head\.", "head."),
    (r"\.self_attn\.(\d)\.(q_a|q_b|kv_b|o)_proj\.", r".attention_\1.\2."),
    (r"\.self_attn\.(\d)\.kv_a_proj_with_mqa\.", r".attention_\1.kv_a."),
    (r"\.self_attn\.(\d)\.(q|kv)_a_layernorm\.", r".attention_\1.\2_norm."),
    (r"\.input_layernorm\.(\d)\.", r".attention_norm_\1."),
    (r"\.post_attention_layernorm\.(\d)\.", r".ffn_norm_\1."),
    (r"\.mlps\.(\d)\.(gate|up|down)_proj\.", r".ffn_\1.\2."),
    (r"\.mlp\.router\.e_score_correction_bias$", ".moe.router.bias_E"),
    (r"\.mlp\.router\.", ".moe.router."),
    (r"\.mlp\.experts\.gate_up_proj$", ".moe.experts.gate_up_GFD"),
    (r"\.mlp\.experts\.down_proj$", ".moe.experts.down_GDF"),
)


@torch.no_grad()
def initialise(module: nn.Module, std: float, generator: torch.Generator | None = None) -> None:
    """Draw every matrix of `module` from N(0, std²); norms and the selection bias keep their ones and zeros."""
    for weight in module.parameters():
        if weight.ndim > 1:
            weight.normal_(0.0, std, generator=generator)


def from_released(state: Mapping[str, Tensor], n_routed_experts: int) -> dict[str, Tensor]:
    """Return the state dict of `LanguageModel` for `state` of transformers' LongcatFlashForCausalLM.

    Gate and up projections are joined; the rows that the released class allocates for zero-computation experts are
    left out (they are never used).
    """
    ours = {_our_name(name): weight for name, weight in state.items()}
    for name in [n for n in ours if n.endswith(".gate.weight")]:
        up_name = name.replace(".gate.", ".up.")
        ours[name.replace(".gate.", ".gate_up.")] = torch.cat([ours.pop(name), ours.pop(up_name)])
    for name in [n for n in ours if n.endswith(("gate_up_GFD", "down_GDF"))]:
        ours[name] = ours[name][:n_routed_experts]
    return ours


def shard_experts(state: Mapping[str, Tensor], n_ranks: int, rank: int) -> dict[str, Tensor]:
    """Return `state` of a whole model with only the experts that `rank` of `n_ranks` holds: contiguous shares."""
    is_expert = re.compile(r"\.?experts\.(gate_up_GFD|down_GDF)$").search
    return {name: weight.chunk(n_ranks)[rank] if is_expert(name) else weight for name, weight in state.items()}


def _our_name(name: str) -> str:
    for pattern, ours in RELEASED_NAMES:
        name = re.sub(pattern, ours, name)
    return name
