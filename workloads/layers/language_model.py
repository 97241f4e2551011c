"""The causal language model: embedding, ScMoE layers, norm, LM head.

B sequences, S new positions, D hidden, W vocabulary.
"""

import torch
from torch import Tensor, nn

from workloads.layers.block import Context, ScMoEBlock
from workloads.layers.cache import LatentCache
from workloads.layers.checks import check_latent_attention
from workloads.layers.exchange import Exchange
from workloads.layers.norm import RMSNorm
from workloads.layers.overlap import RunBlock, in_turn
from workloads.layers.rope import Rotation
from workloads.layers.settings import LayerSettings
from workloads.model import ModelSpec


class LanguageModel(nn.Module):
    """head(norm(layers(embed(ids)))). With an `exchange` this rank holds its share of the experts, all else whole."""

    def __init__(self, spec: ModelSpec, settings: LayerSettings, exchange: Exchange | None = None) -> None:
        super().__init__()
        self.rope_head_dim = check_latent_attention(spec).qk_rope_head_dim
        self.rope_theta = settings.rope_theta
        self.embed = nn.Embedding(spec.vocab, spec.hidden)
        self.layers = nn.ModuleList(ScMoEBlock(spec, settings, i, exchange) for i in range(spec.n_layers))
        self.norm = RMSNorm(spec.hidden, settings.norm_eps)
        self.head = nn.Linear(spec.hidden, spec.vocab, bias=False)
        if spec.tied_embeddings:
            self.head.weight = self.embed.weight

    def forward(self, ids_BS: Tensor, cache: LatentCache | None = None, run_block: RunBlock = in_turn) -> Tensor:
        """Return logits [B, S, W] of the tokens `ids_BS`, which follow those in `cache`."""
        logits_BSW: Tensor = self.head(self.norm(self.hidden(ids_BS, cache, run_block)))
        return logits_BSW

    def hidden(self, ids_BS: Tensor, cache: LatentCache | None = None, run_block: RunBlock = in_turn) -> Tensor:
        """Return the last layer's output [B, S, D], before the final norm."""
        if ids_BS.ndim != 2 or ids_BS.dtype not in {torch.int64, torch.int32}:
            raise ValueError(
                f"ids: got {ids_BS.dtype} {tuple(ids_BS.shape)}; allowed int64 or int32 [sequences, tokens]"
            )
        at = self.context(ids_BS.shape[1], cache)
        x_BSD: Tensor = self.embed(ids_BS)
        for block in self.layers:
            assert isinstance(block, ScMoEBlock)
            x_BSD = run_block(block, x_BSD, at)
        return x_BSD

    def context(self, n_positions: int, cache: LatentCache | None = None) -> Context:
        """Return where the next `n_positions` positions stand, after those in `cache`."""
        first = cache.length(0) if cache else 0
        rotation = Rotation.at(first, n_positions, self.rope_head_dim, self.rope_theta, self.embed.weight)
        return Context(rotation=rotation, cache=cache)
