"""Multi-head latent attention (MLA) with LongCat's scale correction.

B sequences, S new positions, C positions in context, D hidden, H heads, A / P head dims without and with rope,
V value head dim, Q query latent, L key-value latent, X = L + P a cache entry.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workloads.layers.attention_core import attend_causally, attend_latents
from workloads.layers.cache import LatentCache
from workloads.layers.checks import check_hidden, check_latent_attention
from workloads.layers.norm import RMSNorm
from workloads.layers.rope import Rotation
from workloads.layers.settings import LayerSettings
from workloads.model import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Projected:
    """What the projections hand to the core: `nope_BSHA` and `rope_BSHP` queries, `entries_BSX` for the cache."""

    nope_BSHA: Tensor
    rope_BSHP: Tensor
    entries_BSX: Tensor


class MLA(nn.Module):
    """o(attend(q, k, v)) with q = alpha_q W_qb norm(W_qa x), [k, v] = W_kvb alpha_kv norm(W_kva x) (report, 2.3).

    alpha_q = sqrt(D / Q), alpha_kv = sqrt(D / L); the rope key, shared by all heads, is not scaled. `index` is the
    number of this attention in the model, 2 * layer + i.
    """

    def __init__(self, spec: ModelSpec, settings: LayerSettings, index: int = 0) -> None:
        super().__init__()
        attention = check_latent_attention(spec)
        self.spec, self.hidden, self.index = attention, spec.hidden, index
        self.alpha_q = (spec.hidden / attention.q_lora_rank) ** 0.5 if settings.scale_latents else 1.0
        self.alpha_kv = (spec.hidden / attention.kv_lora_rank) ** 0.5 if settings.scale_latents else 1.0
        self.head_dim = attention.qk_nope_head_dim + attention.qk_rope_head_dim
        self.entry_dims = [attention.kv_lora_rank, attention.qk_rope_head_dim]
        key_value_dim = attention.qk_nope_head_dim + attention.v_head_dim
        self.q_a = nn.Linear(spec.hidden, attention.q_lora_rank, bias=False)
        self.q_norm = RMSNorm(attention.q_lora_rank, settings.latent_norm_eps)
        self.q_b = nn.Linear(attention.q_lora_rank, attention.n_heads * self.head_dim, bias=False)
        self.kv_a = nn.Linear(spec.hidden, sum(self.entry_dims), bias=False)
        self.kv_norm = RMSNorm(attention.kv_lora_rank, settings.latent_norm_eps)
        self.kv_b = nn.Linear(attention.kv_lora_rank, attention.n_heads * key_value_dim, bias=False)
        self.o = nn.Linear(attention.n_heads * attention.v_head_dim, spec.hidden, bias=False)

    def forward(self, x_BSD: Tensor, rotation: Rotation, cache: LatentCache | None = None) -> Tensor:
        """Return the attention's output [B, S, D] for new positions `x_BSD`, after those in `cache`."""
        return self.attend(self.project(x_BSD, rotation), cache)

    def project(self, x_BSD: Tensor, rotation: Rotation) -> Projected:
        """Return queries and cache entries of `x_BSD`: the part of an MLA that needs no other position."""
        check_hidden("attention input", x_BSD, self.q_a.weight, self.hidden)
        q_BSHX = self.alpha_q * self.q_b(self.q_norm(self.q_a(x_BSD))).view(*x_BSD.shape[:2], -1, self.head_dim)
        nope_BSHA, rope_BSHP = q_BSHX.split([self.spec.qk_nope_head_dim, self.spec.qk_rope_head_dim], dim=-1)
        latent_BSL, key_BSP = self.kv_a(x_BSD).split(self.entry_dims, dim=-1)
        latent_BSL = self.alpha_kv * self.kv_norm(latent_BSL)
        key_BSP = rotation.rotate(key_BSP.unsqueeze(-2)).squeeze(-2)
        entries_BSX = torch.cat([latent_BSL, key_BSP], dim=-1)
        return Projected(nope_BSHA=nope_BSHA, rope_BSHP=rotation.rotate(rope_BSHP), entries_BSX=entries_BSX)

    def attend(self, new: Projected, cache: LatentCache | None = None) -> Tensor:
        """Return [B, S, D]: core attention and output projection, absorbed where the cache holds earlier positions."""
        is_decode = cache is not None and cache.length(self.index) > 0
        context_BCX = new.entries_BSX if cache is None else cache.append(self.index, new.entries_BSX)
        core = self.core_absorbed if is_decode else self.core_decompressed
        out_BSD: Tensor = self.o(core(new, context_BCX).flatten(-2))
        return out_BSD

    def core_decompressed(self, new: Projected, context_BCX: Tensor) -> Tensor:
        """Return [B, S, H, V]: per-head keys and values are unpacked from the context (prefill)."""
        key_BCHX, value_BCHV = self.decompress(context_BCX)
        query_BSHX = torch.cat([new.nope_BSHA, new.rope_BSHP], dim=-1)
        return attend_causally(query_BSHX, key_BCHX, value_BCHV, self.head_dim**-0.5)

    def core_absorbed(self, new: Projected, context_BCX: Tensor) -> Tensor:
        """Return [B, S, H, V]: attend on the latents, key and value maps moved to the query's side (decode)."""
        query_BSHX = torch.cat([self.absorb_query(new.nope_BSHA), new.rope_BSHP], dim=-1)
        return self.absorb_value(attend_latents(query_BSHX, context_BCX, self.entry_dims[0], self.head_dim**-0.5))

    def decompress(self, context_BCX: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys [B, C, H, A + P] and values [B, C, H, V] of the cache entries `context_BCX`."""
        latent_BCL, key_BCP = torch.split(context_BCX, self.entry_dims, dim=-1)
        both_BCHX = self.kv_b(latent_BCL).view(*latent_BCL.shape[:2], self.spec.n_heads, -1)
        nope_BCHA, value_BCHV = both_BCHX.split([self.spec.qk_nope_head_dim, self.spec.v_head_dim], dim=-1)
        rope_BCHP = key_BCP.unsqueeze(-2).expand(-1, -1, self.spec.n_heads, -1)
        return torch.cat([nope_BCHA, rope_BCHP], dim=-1), value_BCHV

    def absorb_query(self, nope_BSHA: Tensor) -> Tensor:
        """Return the queries [B, S, H, L] that meet the latents: W_kᵀ q per head."""
        key_map_HAL, _ = self.maps()
        return torch.einsum("bsha,hal->bshl", nope_BSHA, key_map_HAL)

    def absorb_value(self, mixed_BSHL: Tensor) -> Tensor:
        """Return the head outputs [B, S, H, V] of the mixed latents: W_v c per head."""
        _, value_map_HVL = self.maps()
        return torch.einsum("bshl,hvl->bshv", mixed_BSHL, value_map_HVL)

    def maps(self) -> tuple[Tensor, Tensor]:
        """Return the key map [H, A, L] and value map [H, V, L] of each head, views of W_kvb."""
        both_HXL = self.kv_b.weight.view(self.spec.n_heads, -1, self.entry_dims[0])
        return both_HXL[:, : self.spec.qk_nope_head_dim], both_HXL[:, self.spec.qk_nope_head_dim :]
