"""One step of work: the model, its layout over ranks, the batch and how its tokens choose experts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from workloads.batch import Batch, Chunks, FullestGroup, Mtp, Phase, Precision, RoutingSpec
from workloads.borders import Border
from workloads.layout import Layout
from workloads.model import ModelSpec

AllToAll = Literal["low_latency", "normal", "all_gather", "pairwise", "hierarchical", "one_sided"]
Part = Literal["layers", "lm_head", "mtp", "sampling"]


@dataclass(frozen=True, kw_only=True)
class StepSpec:
    """Everything that `lower` needs. `devices_per_node` is how many consecutive ranks share a node's links; `seed`
    feeds every draw (contexts, popularity, choices); `all_to_all`: low-latency kernels (one copy per chosen expert) or
    normal ones (one copy per destination node, then NVLink), or one of `workloads.lowering.expert_exchanges`.
    `kernels`: those of serving engines, fused as theirs, or "torch", the ops of `workloads.layers` one by one, as
    `longsim measure` times them. `borders`: groups of ranks whose members share links out and in that can bound
    them. `chunks` of prompts share a decode step; `fullest`: decodes are not spread evenly, the first attention group
    has those. `draw_number`: which draw of the tokens' choices to take, all else being the same."""

    model: ModelSpec
    n_gpus: int
    devices_per_node: int
    phase: Phase
    layout: Layout
    batch: Batch
    routing: RoutingSpec = field(default_factory=RoutingSpec)
    precision: Precision = field(default_factory=Precision)
    mtp: Mtp = field(default_factory=Mtp)
    all_to_all: AllToAll = "low_latency"
    kernels: Literal["fused", "torch"] = "fused"
    parts: Sequence[Part] = ("layers", "lm_head", "mtp", "sampling")
    seed: int = 0
    borders: tuple[Border, ...] = ()
    chunks: Chunks | None = None
    fullest: FullestGroup | None = None
    draw_number: int = 0

    @property
    def queries_per_sequence(self) -> int:
        """New tokens of one sequence in this step: the prompt, or one token and the drafts to verify."""
        return self.batch.prompt_tokens if self.phase == "prefill" else 1 + self.mtp.n_draft

    @property
    def kv_shards(self) -> int:
        """Ranks of an attention group over which the KV cache is split (a latent cache is not)."""
        n_kv_heads = getattr(self.model.attention, "n_kv_heads", 1)
        return int(min(self.layout.attention_tp, n_kv_heads))

    @property
    def n_expert_slots(self) -> int:
        """Expert weights that an EP group holds per MoE layer: routed experts and redundant copies."""
        return self.model.moe.n_routed_experts + self.layout.n_redundant_experts
