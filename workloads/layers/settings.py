"""What the layers need beyond the shapes of a `ModelSpec`."""

from dataclasses import dataclass
from typing import Literal

Policy = Literal["skip", "remap0", "none"]


@dataclass(frozen=True, kw_only=True)
class LayerSettings:
    """Constants of the layers; the defaults are LongCat-Flash-Chat's (its config.json and released code).

    `latent_norm_eps`: the two norms inside MLA, which the released code builds with its class default;
    `routed_scaling`: gamma, the factor on the gate weights (see `expert_compensation`);
    `scale_latents`: whether MLA scales its latents by alpha_q and alpha_kv (report, section 2.3);
    `shortcut`: which state the MoE reads, 1, 2 or 3 as in the ScMoE paper, None as in a conventional MoE;
    `zero_experts`: what becomes of a zero-computation choice: skip (never dispatched), remap0 (a row of weight 0 for
    expert 0, as upstream vLLM and SGLang do), none (only routed experts can be chosen).
    """

    rope_theta: float = 1e7
    norm_eps: float = 1e-5
    latent_norm_eps: float = 1e-6
    routed_scaling: float = 6.0
    scale_latents: bool = True
    shortcut: Literal[1, 2, 3] | None = 2
    zero_experts: Policy = "skip"


def expert_compensation(n_splits: int) -> float:
    """Return gamma for experts that were each split into `n_splits` = m, the choices per token with them: m.

    The gates shrink by m and so does an expert's inner width; each takes a factor m off the variance of the output:
    gamma = sqrt(m * m) (LongCat-Flash report, section 2.3).
    """
    if n_splits < 1:
        raise ValueError(f"n_splits: got {n_splits}; allowed 1, 2, 3, …")
    return float(n_splits)
