"""Which model is measured here: a zoo model, shrunk by a stated share, with the experts that one rank holds."""

from dataclasses import replace

from hw_profiles.faults import Fault, InputFaults, unknown_word
from workloads.model import GqaSpec, MlaSpec, ModelSpec, MoeSpec
from workloads.zoo import ZOO

WIDTH_STEP = 16  # numbers of bf16 or fp8 that kernels want rows to be whole multiples of


def subject(name: str, share: float, n_experts: int) -> ModelSpec:
    """Return zoo model `name` with widths, heads, experts and vocabulary times `share`, and at most `n_experts` routed
    experts (0: all), zero-computation experts in proportion; InputFaults for a name or number that cannot be."""
    faults = []
    if name not in ZOO:
        faults.append(unknown_word("--model", name, list(ZOO)))
    elif not ZOO[name]().gated_ffn:
        allowed = ", ".join(sorted(model for model in ZOO if ZOO[model]().gated_ffn))
        faults.append(Fault(field="--model", got=repr(name), allowed=allowed,
                            remedy="the layers that are measured have SwiGLU FFNs"))  # fmt: skip
    if not 0.0 < share <= 1.0:
        faults.append(Fault(field="--share", got=f"{share:g}", allowed="above 0, at most 1", remedy="1 is full size"))
    if n_experts < 0:
        faults.append(Fault(field="--experts", got=str(n_experts), allowed="0 (all) or more", remedy="leave it out"))
    if faults:
        raise InputFaults(faults)
    spec = ZOO[name]()
    return _with_experts(spec if share == 1.0 else _scaled(spec, share), n_experts)


def _scaled(spec: ModelSpec, share: float) -> ModelSpec:
    """Head dims, choices per token and the number of layers stay."""
    attention: MlaSpec | GqaSpec = spec.attention
    if isinstance(attention, MlaSpec):
        attention = replace(
            attention, n_heads=_count(attention.n_heads, share), kv_lora_rank=_width(attention.kv_lora_rank, share),
            q_lora_rank=_width(attention.q_lora_rank, share) if attention.q_lora_rank else 0,
        )  # fmt: skip
    else:
        attention = replace(
            attention, n_heads=_count(attention.n_heads, share), n_kv_heads=_count(attention.n_kv_heads, share)
        )
    moe = _experts_times(spec.moe, share)
    return replace(
        spec, hidden=_width(spec.hidden, share), dense_ffn=_width(spec.dense_ffn, share), attention=attention,
        vocab=_width(spec.vocab, share),
        moe=replace(moe, expert_ffn=_width(moe.expert_ffn, share), shared_ffn=_width(moe.shared_ffn, share)),
    )  # fmt: skip


def _with_experts(spec: ModelSpec, n_experts: int) -> ModelSpec:
    n_routed = spec.moe.n_routed_experts
    if not n_experts or n_experts >= n_routed:
        return spec
    return replace(spec, moe=_experts_times(spec.moe, n_experts / n_routed))


def _experts_times(moe: MoeSpec, share: float) -> MoeSpec:
    """Fewer experts; the share of zero-computation experts stays, and no more are chosen than there are."""
    n_routed = _count(moe.n_routed_experts, share)
    n_zero = round(moe.n_zero_experts * n_routed / moe.n_routed_experts) if moe.n_routed_experts else 0
    top_k = min(moe.top_k, n_routed)
    mean = moe.mean_ffn_experts * top_k / moe.top_k if moe.top_k else 0.0
    return replace(moe, n_routed_experts=n_routed, n_zero_experts=n_zero, top_k=top_k, mean_ffn_experts=mean)


def _count(n: int, share: float) -> int:
    return max(1, round(n * share)) if n else 0


def _width(n: int, share: float) -> int:
    """At least one step, or nothing where there was nothing."""
    return max(WIDTH_STEP, round(n * share / WIDTH_STEP) * WIDTH_STEP) if n else 0
