"""The latent cache: per token and attention one entry, the scaled key-value latent beside the rotated rope key.

B sequences, S new positions, C positions in context, X = L + P width of an entry.
"""

from typing import Self

import torch
from torch import Tensor

from workloads.layers.checks import check_latent_attention
from workloads.model import ModelSpec


class LatentCache:
    """Preallocated entries of every attention of a model; all sequences have the same length. For inference only."""

    def __init__(self, n_attentions: int, n_sequences: int, n_positions: int, width: int, like: Tensor) -> None:
        shape = (n_attentions, n_sequences, n_positions, width)
        self.entries_UBCX = torch.empty(shape, dtype=like.dtype, device=like.device)
        self._length_U = [0] * n_attentions

    @classmethod
    def of(cls, spec: ModelSpec, n_sequences: int, n_positions: int, like: Tensor) -> Self:
        """Return an empty cache for `spec` (its MTP heads included), of the type and device of `like`."""
        attention = check_latent_attention(spec)
        n_attentions = spec.n_attentions + (spec.mtp.n_layers if spec.mtp else 0)
        width = attention.kv_lora_rank + attention.qk_rope_head_dim
        return cls(n_attentions, n_sequences, n_positions, width, like)

    def length(self, attention: int) -> int:
        """Number of positions that attention number `attention` has stored."""
        return self._length_U[attention]

    def append(self, attention: int, entries_BSX: Tensor) -> Tensor:
        """Store `entries_BSX` and return all entries [B, C, X] of that attention, a view of the cache.

        Raises ValueError where they do not fit, or where a gradient would be lost.
        """
        stored_BCX = self.entries_UBCX[attention]
        start = self._length_U[attention]
        end = start + entries_BSX.shape[1]
        if entries_BSX.requires_grad:
            raise ValueError("cache: got entries that require a gradient; run under torch.no_grad() or without cache")
        if entries_BSX.shape[0] != stored_BCX.shape[0] or end > stored_BCX.shape[1]:
            raise ValueError(
                f"cache: got {entries_BSX.shape[0]} sequences up to position {end}; allowed "
                f"{stored_BCX.shape[0]} sequences of {stored_BCX.shape[1]} positions; make a larger cache"
            )
        stored_BCX[:, start:end] = entries_BSX
        self._length_U[attention] = end
        return stored_BCX[:, :end]
