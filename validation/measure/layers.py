"""Cases of whole ScMoE layers, in decode and prefill, with and without zero-computation experts, in any order of parts.

B sequences, S new positions, C positions in context, D hidden, N routed experts, R ranks, X width of a cache entry.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from validation.measure.case import Case, Lab, Outcome, Sizes, linear_case
from validation.measure.ranks import Ranks
from validation.measure.timing import Work
from workloads.layers.block import Context, ScMoEBlock
from workloads.layers.cache import LatentCache
from workloads.layers.checks import check_latent_attention
from workloads.layers.exchange import Exchange
from workloads.layers.moe import Dispatched
from workloads.layers.overlap import RunBlock, in_turn
from workloads.layers.rope import Rotation
from workloads.layers.settings import Policy
from workloads.model import ModelSpec

IN_TURN: Mapping[str, RunBlock] = {"in_turn": in_turn}


class SteadyCache(LatentCache):
    """A cache that stands still: every step writes the same last positions, so that every call does the same work."""

    def __init__(self, n_sequences: int, n_positions: int, width: int, like: Tensor) -> None:
        super().__init__(2, n_sequences, n_positions, width, like)
        self.entries_UBCX.normal_(generator=torch.Generator(like.device).manual_seed(1))  # runs repeat
        self._length_U = [n_positions - 1] * 2

    def append(self, attention: int, entries_BSX: Tensor) -> Tensor:
        """Return all entries [B, C, X] of that attention, its last ones replaced by `entries_BSX`."""
        self._length_U[attention] = self.entries_UBCX.shape[2] - entries_BSX.shape[1]
        return super().append(attention, entries_BSX)


@dataclass(frozen=True, kw_only=True)
class Point:
    """One batch: sequences, new positions of each, positions in context of each (the new ones included)."""

    n_sequences: int
    n_new: int
    n_context: int

    @property
    def shape(self) -> dict[str, int]:
        """The part of a row's shape that is the batch."""
        return {"batch": self.n_sequences, "new": self.n_new, "context": self.n_context}

    def shape_of(self, order: str, zero: Policy, n_ranks: int) -> dict[str, int | str]:
        """Return the shape of the row of one order of this batch, as it is keyed."""
        return {**self.shape, "ranks": n_ranks, "order": order, "zero": zero}


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of `lab`'s model under a policy for zero-computation experts, made when first needed, then kept.

    "skip" is the model as it is; "none" the same model without zero-computation experts, so that all K choices of a
    token are FFN experts. `exchange`: how rows travel; None where all experts are here.
    """

    lab: Lab
    zero: Policy
    exchange: Exchange | None = None

    @cached_property
    def block(self) -> ScMoEBlock:
        """The layer's module."""
        settings = replace(self.lab.settings, zero_experts=self.zero)
        return self.lab.place(lambda: ScMoEBlock(self._spec, settings, exchange=self.exchange))

    @property
    def _spec(self) -> ModelSpec:
        moe = self.lab.spec.moe
        if self.zero == "none":
            moe = replace(moe, n_zero_experts=0, mean_ffn_experts=float(moe.top_k))
        return replace(self.lab.spec, moe=moe)

    def inputs(self, point: Point) -> tuple[Tensor, Context]:
        """Return the new positions [B, S, D] of a batch and where they stand."""
        x_BSD = self.lab.random(point.n_sequences, point.n_new, self.lab.spec.hidden)
        return x_BSD, _context(self.lab, x_BSD, point.n_context)

    def work(self, run: RunBlock, point: Point) -> Work:
        """Return one forward pass of the layer, its parts in the order of `run`."""
        return partial(run, self.block, *self.inputs(point))

    def dispatched(self, point: Point) -> Dispatched:
        """Return what one more forward pass dispatched."""
        seen: list[Dispatched] = []
        dispatch = self.block.moe.dispatch

        def watched(x_TD: Tensor) -> Dispatched:
            seen.append(dispatch(x_TD))
            return seen[-1]

        self.block.moe.dispatch = watched  # type: ignore[method-assign]
        try:
            self.work(in_turn, point)()
        finally:
            del self.block.moe.dispatch
        return seen[0]


def layer_cases(
    lab: Lab, orders: Mapping[str, RunBlock] = IN_TURN, exchange: Exchange | None = None, ranks: Ranks | None = None
) -> Iterator[Case]:
    """Yield decode steps over batch × context and prefills over prompts, each in every one of `orders`, with and
    without zero-computation experts, all of one batch by turns."""
    ranks = ranks or Ranks()
    layers = {zero: Layer(lab=lab, zero=zero, exchange=exchange) for zero in policies(lab.spec)}
    for point in points(lab.sizes):
        for zero, layer in layers.items():
            for order, run in orders.items():
                yield Case(
                    kernel="layer", op="scmoe_layer", dtype=lab.dtype, shape=point.shape_of(order, zero, ranks.n_ranks),
                    make=partial(layer.work, run, point), outcome=partial(_sent_and_computed, layer, point, ranks),
                    together=f"{point}",
                )  # fmt: skip


def reference_cases(lab: Lab) -> Iterator[Case]:
    """Yield one matrix product for every batch, timed by turns with its layers: what tells a machine that runs slower
    now than when its kernels were measured."""
    m, n, k = max(lab.sizes.tokens), 2 * lab.spec.dense_ffn, lab.spec.hidden
    for point in points(lab.sizes):
        case = linear_case(lab, "dense_ffn.gate_up", lambda: lab.ffn.gate_up, m=m, n=n, k=k)
        yield replace(case, kernel="reference", shape={**case.shape, **point.shape}, together=f"{point}")


def policies(spec: ModelSpec) -> list[Policy]:
    """Return the policies for zero-computation experts to measure: with and without, where the model has them."""
    return ["skip", "none"] if spec.moe.n_zero_experts else ["none"]


def points(sizes: Sizes) -> Iterator[Point]:
    """Yield the batches of a suite's sizes: decode over batch × context, then prefills of one prompt."""
    for batch in sizes.batches:
        yield from (Point(n_sequences=batch, n_new=1, n_context=context) for context in sizes.contexts)
    yield from (Point(n_sequences=1, n_new=prompt, n_context=prompt) for prompt in sizes.prompts)


def _sent_and_computed(layer: Layer, point: Point, ranks: Ranks) -> Outcome:
    """Return `rows` that the first rank's tokens sent, `most` rows that a rank computed, and `active`: the experts,
    on all ranks together, that had a row at all."""
    load_N: list[int] = layer.dispatched(point).order.load_N.tolist()
    loads_RN = torch.tensor(ranks.all_of(load_N))
    total_N = loads_RN.sum(0)
    computed_R = total_N.view(ranks.n_ranks, -1).sum(1)
    return {
        "rows": int(loads_RN[0].sum()), "most": int(computed_R.max()), "active": int((total_N > 0).sum()),
    }  # fmt: skip


def _context(lab: Lab, x_BSD: Tensor, n_context: int) -> Context:
    """Where the new positions of `x_BSD` stand: the last ones of `n_context`."""
    attention = check_latent_attention(lab.spec)
    n_sequences, n_new, _ = x_BSD.shape
    rotation = Rotation.at(n_context - n_new, n_new, attention.qk_rope_head_dim, lab.settings.rope_theta, x_BSD)
    if n_new == n_context:
        return Context(rotation=rotation)
    width = attention.kv_lora_rank + attention.qk_rope_head_dim
    with torch.no_grad():
        return Context(rotation=rotation, cache=SteadyCache(n_sequences, n_context, width, x_BSD))
