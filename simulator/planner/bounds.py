"""What no simulated step can beat: bytes at the datasheet's bandwidth, FLOPs at its peak, payload at the links' rates.

Only amounts that every step has are counted, each on its own resource; what is one after the other in the sequential
order adds up, where streams overlap the longer of compute and communication remains. A family that is too slow by this
bound is too slow when simulated (tests/unit/planner/test_bounds.py).
"""

from dataclasses import dataclass
from functools import cached_property

from simulator.scenario_schema import Scenario
from simulator.serving.step_times import GroupBatch, StepBatch
from workloads.batch import ARITHMETIC
from workloads.memory import WEIGHT_BYTES
from workloads.schedules.table import SCHEDULES
from workloads.zoo import attention_core_flops, count_parameters, kv_bytes_per_token, n_moe_layers

_DISPATCH_BYTES = {"fp8": 1.0, "fp8_bare": 1.0, "bf16": 2.0, "fp32": 4.0}  # per value, scales and headers aside


@dataclass(frozen=True, kw_only=True)
class _Amounts:
    """Of one part of a step, on one GPU: bytes from HBM, FLOPs of weights and of the attention core."""

    hbm_bytes: float
    weight_flops: float
    core_flops: float = 0.0


class StepBound:
    """Lower bounds of the steps of one replica."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._model, self._layout, self._profile = scenario.model_spec, scenario.layout, scenario.profile
        self._kv_shards = scenario.step.kv_shards
        self._reads_hidden = bool(self._profile.efficiency.hidden_weight_reads)

    @cached_property
    def _counts(self) -> dict[str, float]:
        """Weights of one rank that every token of its group meets: attention, dense (FFN and shared), head."""
        counts, layout = count_parameters(self._model), self._layout
        return {
            "attention": counts.attention / layout.attention_tp,
            "dense": counts.dense_ffn / layout.dense_tp + counts.shared_experts / layout.replicated_tp,
            "experts": counts.experts / (layout.ep * layout.moe_tp),
            "head": (counts.lm_head or counts.embedding) / layout.replicated_tp,
        }

    @cached_property
    def _experts_per_token(self) -> float:
        moe, asked = self._model.moe, self._scenario.routing.ffn_experts.mean
        if moe.n_zero_experts == 0 or self._scenario.routing.zero_experts == "none":
            return float(moe.top_k)
        return min(asked or moe.mean_ffn_experts, moe.mean_ffn_experts)

    def seconds(self, batch: StepBatch) -> float:
        """Return seconds that a step takes at least [s]."""
        compute_s = [self._seconds(part) for part in (self._outside_experts(batch), self._experts(batch))]
        sent_s = self._sending_s(batch)
        if SCHEDULES[self._scenario.schedule].overlaps:
            return max(sum(compute_s), sent_s)
        return sum(compute_s) + sent_s

    def _seconds(self, part: _Amounts) -> float:
        device, precision = self._profile.device, self._scenario.precision
        formats = {precision.weights, precision.attention_weights}
        peak = max(device.peak_flops_per_s[ARITHMETIC.get(word, word)] for word in formats)
        core_peak = max(peak, device.peak_flops_per_s[precision.attention])
        flops_s = part.weight_flops / peak + part.core_flops / core_peak
        return max(part.hbm_bytes / device.hbm_bytes_per_s, flops_s)

    def _tokens(self, batch: StepBatch) -> float:
        """Tokens of the step per GPU, all groups together."""
        queries = 1 + self._scenario.mtp.n_draft
        return (batch.n_decode * queries + batch.prefill_tokens) / self._scenario.n_gpus

    def _fullest(self, batch: StepBatch) -> GroupBatch:
        """The part of the attention group with most tokens; of the mean one, where all are alike."""
        groups = self._scenario.n_gpus / self._layout.attention_tp
        if batch.fullest is not None:
            return batch.fullest
        prefills = batch.prefills if groups == 1.0 else batch.prefills[: int(len(batch.prefills) / groups)]
        return GroupBatch(batch.n_decode / groups, batch.decode_context_tokens / groups, prefills)  # type: ignore[arg-type]

    def _outside_experts(self, batch: StepBatch) -> _Amounts:
        """Attention, dense FFNs, shared experts, LM head: of the fullest group, for which all wait."""
        counts, scenario, model = self._counts, self._scenario, self._model
        weight = WEIGHT_BYTES[scenario.precision.weights]
        read = counts["attention"] * WEIGHT_BYTES[scenario.precision.attention_weights] + counts["dense"] * weight
        group, tp, dense_tp = self._fullest(batch), self._layout.attention_tp, self._layout.dense_tp
        of_group = group.n_decode * (1 + scenario.mtp.n_draft) + group.prefill_tokens
        if "lm_head" in scenario.run.parts:
            read += counts["head"] * 2.0
        decodes, context = group.n_decode, float(group.context_tokens)
        pairs = context * (1 + scenario.mtp.n_draft)
        if model.indexer:  # a query reads the keys that it chooses, if it has as many
            context = min(context, decodes * model.indexer.top_k)
            pairs = min(pairs, context * (1 + scenario.mtp.n_draft))
        kv = kv_bytes_per_token(model, scenario.precision.kv) * model.n_attentions / self._kv_shards
        core = attention_core_flops(model, absorbed=True) / tp
        prompt_core = 0.0
        if not model.indexer:
            pairs_of_prompts = sum(new * cached + new * (new + 1) / 2.0 for new, cached in group.prefills)
            prompt_core = pairs_of_prompts * attention_core_flops(model, absorbed=False) / tp
        tokens_of_dense = max(self._tokens(batch) * dense_tp, of_group * min(1.0, dense_tp / tp))
        return _Amounts(
            hbm_bytes=(0.0 if self._reads_hidden else read) + context * kv,
            weight_flops=2.0 * (counts["attention"] * of_group + counts["dense"] * tokens_of_dense),
            core_flops=(pairs * core + prompt_core) * model.n_attentions,
        )

    def _experts(self, batch: StepBatch) -> _Amounts:
        """Routed experts: weights of those that have a token, where these are spread evenly; of one token, else."""
        n = self._model.moe.n_routed_experts
        if not n_moe_layers(self._model):
            return _Amounts(hbm_bytes=0.0, weight_flops=0.0)
        k, tokens = self._experts_per_token, self._tokens(batch) * self._scenario.n_gpus
        even = self._scenario.routing.popularity == "balanced" and not self._layout.n_redundant_experts
        touched = (1.0 - (1.0 - k / n) ** tokens) if even else k / n
        ranks = self._layout.ep * self._layout.moe_tp
        groups = self._scenario.n_gpus / ranks
        weights = self._counts["experts"]
        read = weights * touched * WEIGHT_BYTES[self._scenario.precision.weights]
        rows_of_experts = tokens / groups * k / n  # mean rows of each expert of a group
        return _Amounts(hbm_bytes=0.0 if self._reads_hidden else read, weight_flops=2.0 * weights * rows_of_experts)

    def _sending_s(self, batch: StepBatch) -> float:
        """Dispatch and combine of all MoE layers on the slower tier of links: one copy per chosen expert of low-latency
        kernels, at least one per token and message that leaves the node of normal ones."""
        layout, model, tiers = self._layout, self._model, self._profile.tiers
        if layout.replicated or layout.ep == 1 or not n_moe_layers(model):
            return 0.0
        group, node = self._fullest(batch), min(self._profile.node.n_devices, layout.ep)
        of_group = group.n_decode * (1 + self._scenario.mtp.n_draft) + group.prefill_tokens
        tokens = max(self._tokens(batch), of_group / layout.attention_tp)
        precision, shards = self._scenario.precision, 1.0
        per_token = (_DISPATCH_BYTES[precision.dispatch] + _DISPATCH_BYTES[precision.combine]) * model.hidden
        if self._scenario.all_to_all == "low_latency" and not batch.prefills:
            shards = self._experts_per_token
        away, inside = (layout.ep - node) / layout.ep, (node - 1) / layout.ep
        slowest_s = 0.0
        if away and "nic" in tiers:
            slowest_s = away * shards / tiers["nic"].bytes_per_s
        if shards > 1.0:
            slowest_s = max(slowest_s, inside * shards / tiers["nvlink"].bytes_per_s)
        return tokens * per_token * slowest_s * n_moe_layers(model)
