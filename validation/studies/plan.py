"""One run of training, as a value: model, text, laws. Two plans that are equal give equal curves on one machine."""

from dataclasses import dataclass, replace
from math import cos, pi
from typing import Literal

from validation.studies.text import VOCABULARY, Mix
from workloads.layers.settings import LayerSettings, expert_compensation
from workloads.model import MlaSpec, ModelSpec, MoeSpec

PROXY_WIDTH = 48
"""Width for which learning rate and standard deviation of initial weights are given; others transfer from it."""
_WARM_UP, _LAST_SHARE = 0.05, 0.1


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a curve depends on besides the seed, the text and the program.

    Sizes: `n_sequences` of `n_tokens` bytes per step. `n_splits`: every expert split into so many, choices times as
    many. `compensates`: gamma times n_splits, `gamma` alone otherwise. `step_size`: mu of the budget controller, 0 for
    none. `alpha`: of the device-level balance loss over `n_devices`; `gradient_ratio`: choose
    alpha anew at each record so that R_g is this in the layer where it is largest, 0: keep alpha. `z_weight`: lambda of
    the hidden z-loss. `grows_at`: train half the layers until this step, then stack them twice; 0: never.
    `record_every`: steps that a row of the record averages over. `watches_variance`: attention logits and MoE outputs.
    """

    n_steps: int = 300
    n_sequences: int = 16
    n_tokens: int = 64
    n_layers: int = 4
    hidden: int = PROXY_WIDTH
    n_routed_experts: int = 32
    n_zero_experts: int = 16
    top_k: int = 6
    mean_ffn_experts: float = 4.0
    expert_ffn: int = 24
    q_lora_rank: int = 24
    kv_lora_rank: int = 16
    n_splits: int = 1
    gamma: float = 6.0
    compensates: bool = True
    scale_latents: bool = True
    shortcut: Literal[1, 2, 3] | None = 2
    mix: Mix = "mixed"
    learning_rate: float = 6e-3
    initial_std: float = 0.1
    epsilon: float = 1e-16
    step_size: float = 0.3
    decay_batches: float = float("inf")
    n_devices: int = 8
    alpha: float = 0.0
    gradient_ratio: float = 0.0
    z_weight: float = 0.0
    grows_at: int = 0
    record_every: int = 10
    watches_variance: bool = False

    @property
    def width_factor(self) -> float:
        """S of the width transfer."""
        return self.hidden / PROXY_WIDTH

    def spec(self, *, half: bool = False) -> ModelSpec:
        """Return the model; `half`: with half of the layers."""
        m = self.n_splits
        return ModelSpec(
            name="study", title="Small ScMoE of the studies", block="scmoe", hidden=self.hidden,
            n_layers=self.n_layers // 2 if half else self.n_layers, dense_ffn=2 * self.hidden, vocab=VOCABULARY,
            attention=MlaSpec(
                n_heads=3, q_lora_rank=self.q_lora_rank, kv_lora_rank=self.kv_lora_rank, qk_nope_head_dim=12,
                qk_rope_head_dim=8, v_head_dim=16,
            ),
            moe=MoeSpec(
                n_routed_experts=self.n_routed_experts * m, n_zero_experts=self.n_zero_experts * m,
                top_k=self.top_k * m, mean_ffn_experts=self.mean_ffn_experts * m, expert_ffn=self.expert_ffn // m,
                correction_bias=True,
            ),
        )  # fmt: skip

    def settings(self) -> LayerSettings:
        """Return the constants of the layers; `rope_theta` suits a context of a few hundred tokens."""
        gamma = self.gamma * (expert_compensation(self.n_splits) if self.compensates else 1.0)
        return LayerSettings(
            rope_theta=1e4, routed_scaling=gamma, scale_latents=self.scale_latents, shortcut=self.shortcut
        )

    def rate_share(self, step: int) -> float:
        """Return the learning rate of `step` over its peak: a linear rise, then a cosine down to a tenth."""
        done = (step + 1) / self.n_steps
        if done < _WARM_UP:
            return done / _WARM_UP
        return _LAST_SHARE + (1.0 - _LAST_SHARE) * 0.5 * (1.0 + cos(pi * (done - _WARM_UP) / (1.0 - _WARM_UP)))


def quick(plan: Plan) -> Plan:
    """Return `plan` cut down to seconds: the same code on a run too short to mean anything."""
    n_steps = 12
    return replace(
        plan, n_steps=n_steps, n_sequences=2, n_tokens=32, n_layers=2, record_every=4 if plan.record_every > 1 else 1,
        grows_at=max(plan.grows_at * n_steps // plan.n_steps, 1) if plan.grows_at else 0,
    )  # fmt: skip
