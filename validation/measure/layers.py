"""Cases of whole ScMoE layers, in decode and prefill, in any order of their parts.

B sequences, S new positions, C positions in context, D hidden, X width of a cache entry.
"""

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor

from validation.measure.case import Case, Lab
from validation.measure.timing import Work
from workloads.layers.block import Context, ScMoEBlock
from workloads.layers.cache import LatentCache
from workloads.layers.checks import check_latent_attention
from workloads.layers.exchange import Exchange
from workloads.layers.overlap import RunBlock, in_turn
from workloads.layers.rope import Rotation

IN_TURN: Mapping[str, RunBlock] = {"in_turn": in_turn}


class SteadyCache(LatentCache):
    """A cache that stands still: every step writes the same last positions, so that every call does the same work."""

    def __init__(self, n_sequences: int, n_positions: int, width: int, like: Tensor) -> None:
        super().__init__(2, n_sequences, n_positions, width, like)
        self.entries_UBCX.normal_()
        self._length_U = [n_positions - 1] * 2

    def append(self, attention: int, entries_BSX: Tensor) -> Tensor:
        """Return all entries [B, C, X] of that attention, its last ones replaced by `entries_BSX`."""
        self._length_U[attention] = self.entries_UBCX.shape[2] - entries_BSX.shape[1]
        return super().append(attention, entries_BSX)


def layer_cases(lab: Lab, orders: Mapping[str, RunBlock] = IN_TURN, exchange: Exchange | None = None) -> Iterator[Case]:
    """Yield decode steps over batch × context and prefills over prompts, each in every one of `orders`.

    All share one layer, made for the first case. `exchange`: how rows travel; default, all experts are here.
    """
    layers: list[ScMoEBlock] = []

    def block() -> ScMoEBlock:
        if not layers:
            layers.append(lab.place(lambda: ScMoEBlock(lab.spec, lab.settings, exchange=exchange)))
        return layers[0]

    def make(order: str, n_sequences: int, n_new: int, n_context: int) -> Work:
        x_BSD = lab.random(n_sequences, n_new, lab.spec.hidden)
        return partial(orders[order], block(), x_BSD, _context(lab, x_BSD, n_context))

    n_ranks = exchange.n_ranks if exchange else 1
    points = [(b, 1, c) for b in lab.sizes.batches for c in lab.sizes.contexts]
    points += [(1, s, s) for s in lab.sizes.prompts]
    for n_sequences, n_new, n_context in points:
        for order in orders:
            yield Case(
                kernel="layer", op="scmoe_layer", dtype=lab.dtype,
                shape={"batch": n_sequences, "new": n_new, "context": n_context, "ranks": n_ranks, "order": order},
                make=partial(make, order, n_sequences, n_new, n_context), together=f"{n_sequences} {n_new} {n_context}",
            )  # fmt: skip


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
