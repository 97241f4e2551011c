"""Seconds of a step of a replica from kernel tables: layers, attention, experts, links, and what the tables lack.

A step of T new tokens on `degree` tensor-parallel ranks takes L (blocks(T) + attention + experts + links) + embedding,
final norm, LM head and sampler of its sequences. The tables measure one chunk beside decodes of equal contexts, so

- several chunks count as the one chunk with their tokens and their (query, key) pairs;
- decodes count with their mean context; where the decode kernel no longer splits a sequence over SMs, the longest one
  outlasts the others, and `long_decode_share` of that difference is added;
- steps that run as a CUDA graph take the size that was captured, in every group of several: the experts get them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

from simulator.serving.step_times import GroupBatch, StepBatch
from validation.serving.constants import Link, Overhead
from validation.serving.expert_table import expected_activated
from validation.serving.kernel_tables import NORMS_PER_BLOCK, ONCE, KernelTables
from validation.serving.lines import Line, sum_of_lines
from workloads.model import GqaSpec, ModelSpec
from workloads.zoo import n_moe_layers

BF16_BYTES = 2
Prompts = Sequence[tuple[int, int]]  # new tokens, tokens already cached
# FlashAttention-2 splits the KV of a sequence over SMs while sequences x KV heads stay below this share of the blocks
# that the SMs take at once, two each (num_splits_heuristic).
_UNSPLIT_SHARE = 0.8
_BLOCKS_PER_SM = 2


@dataclass(frozen=True, kw_only=True)
class TableStepTimes:
    """Step times of `model` from `tables`. `n_groups` data-parallel attention groups in step with one another, whose
    experts are spread over all ranks (`expert_parallel`); `graph_sizes`: captured sizes [tokens], ascending; `n_sms`
    of the GPU (0 where unknown: no sequence outlasts the others)."""

    tables: KernelTables
    model: ModelSpec
    overhead: Overhead
    link: Link | None = None
    n_groups: int = 1
    expert_parallel: bool = False
    n_sms: int = 0
    graph_sizes: Sequence[int] = ()

    def seconds(self, batch: StepBatch) -> float:
        """Return the seconds of one step [s]: those of its fullest group, for which the others wait."""
        own = batch.fullest or GroupBatch(batch.n_decode, batch.decode_context_tokens, batch.prefills)
        n_new, prompts_s = own.n_decode + own.prefill_tokens, self.overhead.prompt_step_s if batch.prefills else 0.0
        tokens = self._captured(n_new)
        everyone = tokens * self.n_groups if tokens > n_new else batch.n_decode + batch.prefill_tokens
        attention_s = self._attention_s(own, batch.longest_decode_tokens)
        block_s = self._block_line.at(tokens) + attention_s + self._links_s(tokens)
        ends_s = self._ends_line.at(tokens) + self._sequence_line.at(own.n_decode + len(own.prefills))
        gathered = max(tokens, everyone)
        return self.model.n_layers * block_s + self._experts_s(tokens, gathered) + ends_s + prompts_s

    def covers(self, tokens: float) -> bool:
        """Return whether the dense layers were measured around so many new tokens of one group."""
        return self._block_line.covers(tokens)

    def _captured(self, tokens: float) -> float:
        """Tokens of the step as it runs: up to the next captured size, or as they are beyond the largest."""
        return next((size for size in self.graph_sizes if size >= tokens), tokens)

    def _attention_s(self, own: GroupBatch, longest: int) -> float:
        n_decode = own.n_decode
        mean = own.context_tokens / n_decode if n_decode else 0.0
        chunk, history = one_chunk(own.prefills)
        together_s = self.tables.attention.at(chunk=chunk, history=history, n_decode=n_decode, context=mean)
        return together_s if chunk or not n_decode else together_s + self._longest_s(longest, n_decode, together_s)

    def _longest_s(self, longest: int, n_decode: int, together_s: float) -> float:
        """What the longest of unsplit sequences adds; 0 while the kernel splits them."""
        least = self._unsplit_from
        if not least or self._captured(n_decode) < least:
            return 0.0
        alone_s = self.tables.attention.at(chunk=0, history=0, n_decode=min(n_decode, least), context=longest)
        return self.overhead.long_decode_share * max(0.0, alone_s - together_s)

    @cached_property
    def _unsplit_from(self) -> float:
        """Sequences from which the decode kernel does not split one over SMs; 0 where that is unknown."""
        a = self.model.attention
        if not self.n_sms or not isinstance(a, GqaSpec):
            return 0.0
        return _UNSPLIT_SHARE * _BLOCKS_PER_SM * self.n_sms / max(a.n_kv_heads / self.tables.degree, 1.0)

    def _links_s(self, tokens: float) -> float:
        """All-reduces after attention and FFN of one block; an expert-parallel FFN has its own exchange."""
        if self.tables.degree == 1 or self.link is None:
            return 0.0
        n_reduces = 1 if self.expert_parallel and self.n_groups > 1 else 2
        return n_reduces * self.link.all_reduce_s(tokens * self.model.hidden * BF16_BYTES, self.tables.degree)

    def _experts_s(self, tokens: float, gathered: float) -> float:
        """MoE blocks: each group gathers all tokens, computes what its experts get, and scatters the sums back."""
        experts, moe = self.tables.experts, self.model.moe
        if experts is None:
            return 0.0
        ranks = self.n_groups * self.tables.degree if self.expert_parallel else 1
        activated = expected_activated(moe.n_routed_experts, moe.top_k, gathered) / ranks
        exchange_s = 0.0
        if self.n_groups > 1 and self.link is not None:
            exchange_s = 2.0 * self.link.all_gather_s(tokens * self.model.hidden * BF16_BYTES, self.n_groups)
        return n_moe_layers(self.model) * (experts.at(gathered / ranks, activated) + exchange_s)

    @cached_property
    def _block_line(self) -> Line:
        """Dense layers of one block over tokens."""
        dense = self.tables.dense
        lines = [line for name, line in dense.items() if name not in ONCE]
        return sum_of_lines([*lines, *[dense["layernorm"]] * (NORMS_PER_BLOCK - 1 if "layernorm" in dense else 0)])

    @cached_property
    def _ends_line(self) -> Line:
        return sum_of_lines([line for name, line in self.tables.dense.items() if name in ONCE])

    @cached_property
    def _sequence_line(self) -> Line:
        return sum_of_lines(list(self.tables.per_sequence.values()))


def one_chunk(prompts: Prompts) -> tuple[float, float]:
    """Return (new tokens, history) of the one chunk with the (query, key) pairs of several: n h + n (n + 1) / 2.

    Chunks of short prompts have fewer pairs than one of all their tokens: it is then a shorter one without history.
    """
    new_tokens = sum(new for new, _ in prompts)
    if not new_tokens:
        return 0.0, 0.0
    pairs = sum(new * history + new * (new + 1) / 2.0 for new, history in prompts)
    history = pairs / new_tokens - (new_tokens + 1.0) / 2.0
    return (new_tokens, history) if history >= 0.0 else ((sqrt(1.0 + 8.0 * pairs) - 1.0) / 2.0, 0.0)
