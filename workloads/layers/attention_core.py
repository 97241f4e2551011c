"""The core of attention: softmax of scores times values, on unpacked heads or on the latents themselves.

B sequences, S new positions, C positions in context, H heads, X width of a query and key, V of a value, L of a latent,
Y = S * H queries that share one key.
"""

import torch
from torch import Tensor
from torch.nn import functional


def visible(n_new: int, n_context: int, device: torch.device) -> Tensor:
    """Return the causal mask [S, C]: new position s stands at n_context - n_new + s and sees what is not after it."""
    ones_SC = torch.ones(n_new, n_context, dtype=torch.bool, device=device)
    return ones_SC.tril(diagonal=n_context - n_new)


def attend_causally(query_BSHX: Tensor, key_BCHX: Tensor, value_BCHV: Tensor, scale: float) -> Tensor:
    """Return softmax(scale q kᵀ) v of every head [B, S, H, V]; the S queries are the last of the C positions."""
    n_new, n_context = query_BSHX.shape[1], key_BCHX.shape[1]
    mask = None if n_new == n_context else visible(n_new, n_context, query_BSHX.device)
    q, k, v = (x.transpose(1, 2) for x in (query_BSHX, key_BCHX, value_BCHV))
    out_BHSV = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale)
    return out_BHSV.transpose(1, 2)


def attend_latents(query_BSHX: Tensor, context_BCX: Tensor, latent_dim: int, scale: float) -> Tensor:
    """Return softmax(scale q cᵀ) c[:latent_dim] as [B, S, H, L]: all heads share one key, the entry."""
    n_new, n_heads, n_context = query_BSHX.shape[1], query_BSHX.shape[2], context_BCX.shape[1]
    mask = None if n_new == 1 else visible(n_new, n_context, query_BSHX.device).repeat_interleave(n_heads, dim=0)
    query_B1YX, context_B1CX = query_BSHX.flatten(1, 2).unsqueeze(1), context_BCX.unsqueeze(1)
    latent_B1CL = context_B1CX[..., :latent_dim]
    mixed_B1YL: Tensor = functional.scaled_dot_product_attention(
        query_B1YX, context_B1CX, latent_B1CL, attn_mask=mask, scale=scale
    )
    return mixed_B1YL.view(-1, n_new, n_heads, latent_dim)
