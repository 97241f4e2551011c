"""What one step computes: sequences, contexts, routing statistics, precisions, drafts. Keys as in a scenario file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["decode", "prefill"]
PrecisionName = Literal["bf16", "fp8", "fp32"]
WeightName = Literal["bf16", "fp8", "fp32", "fp4", "w4a8", "w4", "int4"]
PayloadName = Literal["bf16", "fp8", "fp8_bare", "fp32"]
ZeroPolicy = Literal["skip", "remap0", "none", "k8"]
# Formats of weights that are widened before the product, to what it is computed in.
ARITHMETIC: Mapping[str, str] = {"w4": "bf16", "int4": "bf16", "w4a8": "fp8"}


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The batch of one step, per GPU. `context_tokens`: tokens in the KV cache when the step starts, mean over
    sequences; `context_cv` their coefficient of variation; `request_balance` how sequences were spread over the
    attention groups; `max_dispatch_tokens` per rank sizes the communication buffers (0: this batch);
    `prompt_tokens`: new tokens per sequence in a prefill."""

    sequences_per_gpu: float = 96
    context_tokens: float = 5000
    context_cv: float = 0.0
    request_balance: Literal["random", "least_kv"] = "random"
    max_dispatch_tokens: int = 0
    prompt_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Chunks:
    """Prompts, or chunks of them, that share a decode step, per GPU: `sequences`, their new `tokens`,
    `context_tokens` of theirs that are cached already, `pairs` of (query, key) that their causal attention computes.
    `busiest`: the same of the attention group that has most of them, the first one; None: all groups are alike."""

    sequences: float
    tokens: float
    context_tokens: float
    pairs: float
    busiest: "Chunks | None" = None


@dataclass(frozen=True, kw_only=True)
class FullestGroup:
    """What the first attention group of a decode step holds, where that is more than its part: `sequences`, and
    `context_tokens` in the KV cache of all of them together. The other groups share the rest alike."""

    sequences: float
    context_tokens: float


@dataclass(frozen=True, kw_only=True)
class FfnExperts:
    """FFN experts chosen per token: "fixed" at the mean, or beta-binomial over 0..K with this mean and std.

    `mean` 0 takes the model's own K_e."""

    kind: Literal["fixed", "beta_binomial"] = "fixed"
    mean: float = 0.0
    std: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RoutingSpec:
    """How tokens choose experts. `popularity`: "balanced", "power_law:ALPHA", "lognormal:SIGMA", "counts:FILE" or
    "trace:FILE" (or the name of a shipped trace). `draw`: expected loads, or one seeded sample per layer.
    `zero_experts`: skip (never dispatched), remap0 (sent to expert 0 with weight 0), none (all K picks are FFN
    experts), k8 (K_e FFN experts, none of them zero-computation). `drift`: standard deviation of the log of what an
    expert's popularity has become since the loads were counted that a placement knows."""

    popularity: str = "balanced"
    drift: float = 0.0
    ffn_experts: FfnExperts = field(default_factory=FfnExperts)
    zero_experts: ZeroPolicy = "skip"
    draw: Literal["mean", "sample"] = "mean"


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Number formats. `weights`: dense FFN and experts; `attention_weights`: attention projections; `attention`: the
    arithmetic of the attention core; `kv`: the cache; `dispatch`, `combine`: payloads of the two all-to-alls: "fp8"
    travels with a 4-byte scale per 128 values and a 16-byte header (DeepEP, low-latency kernels), "fp8_bare" is one
    byte per value as closed forms count it. "fp32" throughout is what the PyTorch layers compute in on a CPU.
    "fp4" weights (NVFP4: one FP8 scale per 16 values) are multiplied in FP4, "w4" ones (MXFP4: one byte of scale per
    32) and "int4" (a BF16 scale per 32) are widened to BF16 first; "w4a8" is MXFP4 multiplied at the pace of FP8."""

    weights: WeightName = "fp8"
    attention_weights: WeightName = "fp8"
    attention: PrecisionName = "bf16"
    kv: PrecisionName = "bf16"
    dispatch: PayloadName = "fp8"
    combine: PayloadName = "bf16"


@dataclass(frozen=True, kw_only=True)
class Mtp:
    """Speculation: `n_draft` tokens verified per step and sequence; `acceptance[i]`: probability that draft i is
    accepted given that the one before was."""

    n_draft: int = 0
    acceptance: Sequence[float] = ()


def accepted_tokens_per_step(mtp: Mtp) -> float:
    """Return the mean tokens a sequence gains per step: 1 + sum over i of the product of acceptance up to i."""
    total, survive = 1.0, 1.0
    for probability in mtp.acceptance[: mtp.n_draft]:
        survive *= probability
        total += survive
    return total
