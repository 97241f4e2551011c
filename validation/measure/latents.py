"""Cases of what stands between the products of an MLA: norms of latents, scales, rope, packing, the cache.

T tokens, B sequences, S new positions, C positions in context, H heads, A / P head dims without and with rope,
V value head dim, L key-value latent, X = L + P a cache entry.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from validation.measure.case import Case, Lab, with_own
from validation.measure.layers import SteadyCache
from validation.measure.timing import Work
from workloads.layers.norm import RMSNorm
from workloads.layers.rope import Rotation
from workloads.model import MlaSpec

Make = Callable[[], Work]


def latent_cases(lab: Lab, attention: MlaSpec) -> Iterator[Case]:
    """Yield what is done per token, over tokens; the append to the cache over batches, the unpacking over prompts."""
    for n_tokens in lab.sizes.tokens:
        yield from _norms(lab, attention, n_tokens)
        yield from _queries(lab, attention, n_tokens)
        yield from _entries(lab, attention, n_tokens)
    yield from (_append(lab, attention, batch) for batch in lab.sizes.batches)
    yield from (_unpack(lab, attention, n_new) for n_new in lab.sizes.prompts)


def _norms(lab: Lab, attention: MlaSpec, n_tokens: int) -> Iterator[Case]:
    """The latents of keys and values are normalised where they lie, as a part of the entry."""
    latent, entry = attention.kv_lora_rank, attention.kv_lora_rank + attention.qk_rope_head_dim
    for name, width, stored in (
        ("q_norm", attention.q_lora_rank, attention.q_lora_rank),
        ("kv_norm", latent, entry),
    ):

        def make(width: int = width, stored: int = stored) -> Work:
            norm = lab.place(lambda: RMSNorm(width, lab.settings.latent_norm_eps))
            return partial(norm, lab.random(n_tokens, stored)[:, :width])

        yield _case(lab, name, {"tokens": n_tokens, "width": width}, make, 2 * n_tokens * width)


def _queries(lab: Lab, attention: MlaSpec, n_tokens: int) -> Iterator[Case]:
    heads, nope, rope = attention.n_heads, attention.qk_nope_head_dim, attention.qk_rope_head_dim
    head_dim, shape = nope + rope, {"tokens": n_tokens, "heads": heads}

    def make_scale() -> Work:
        return partial(torch.mul, lab.random(1, n_tokens, heads, head_dim), lab.mla.alpha_q)

    def make_rotate() -> Work:
        return _rotate(lab, lab.random(1, n_tokens, heads, head_dim)[..., nope:])

    def make_merge() -> Work:  # the product per head leaves heads first
        return partial(torch.flatten, lab.random(heads, n_tokens, attention.v_head_dim).transpose(0, 1), -2)

    def make_pack(first: int) -> Work:
        both = [lab.random(n_tokens, 1, heads, width) for width in (first, rope)]
        return partial(torch.cat, both, dim=-1)

    n_values = n_tokens * heads
    yield _case(lab, "scale_query", shape | {"width": head_dim}, make_scale, 2 * n_values * head_dim)
    yield _case(lab, "rope_query", shape | {"width": rope}, make_rotate, 2 * n_values * rope)
    yield _case(lab, "merge_heads", shape | {"width": attention.v_head_dim}, make_merge,
                2 * n_values * attention.v_head_dim)  # fmt: skip
    for first in {nope: None, attention.kv_lora_rank: None}:  # unpacked, absorbed; once where they are alike
        width = first + rope
        yield _case(lab, "pack_query", shape | {"width": width}, partial(make_pack, first), 2 * n_values * width)


def _entries(lab: Lab, attention: MlaSpec, n_tokens: int) -> Iterator[Case]:
    latent, rope = attention.kv_lora_rank, attention.qk_rope_head_dim

    def make_scale() -> Work:
        return partial(torch.mul, lab.random(n_tokens, latent), lab.mla.alpha_kv)

    def make_rotate() -> Work:
        return _rotate(lab, lab.random(1, n_tokens, 1, latent + rope)[..., latent:])

    def make_pack() -> Work:
        return partial(torch.cat, [lab.random(n_tokens, latent), lab.random(n_tokens, rope)], dim=-1)

    for name, width, make in (
        ("scale_latent", latent, make_scale), ("rope_key", rope, make_rotate), ("pack_entry", latent + rope, make_pack),
    ):  # fmt: skip
        yield _case(lab, name, {"tokens": n_tokens, "width": width}, make, 2 * n_tokens * width)


def _append(lab: Lab, attention: MlaSpec, n_sequences: int) -> Case:
    """One new entry of each sequence into the cache of the shortest context."""
    entry, context = attention.kv_lora_rank + attention.qk_rope_head_dim, min(lab.sizes.contexts)

    def make() -> Work:
        entries_BSX = lab.random(n_sequences, 1, entry)
        return partial(SteadyCache(n_sequences, context, entry, entries_BSX).append, 0, entries_BSX)

    shape = {"batch": n_sequences, "context": context, "width": entry}
    return _case(lab, "cache_append", shape, make, 2 * n_sequences * entry)


def _unpack(lab: Lab, attention: MlaSpec, n_new: int) -> Case:
    """Keys and values of every head from the product `kv_b`, whose own case stands apart."""
    heads, entry = attention.n_heads, attention.kv_lora_rank + attention.qk_rope_head_dim
    nope, width = attention.qk_nope_head_dim, attention.qk_nope_head_dim + attention.qk_rope_head_dim

    def make() -> Work:
        mla = with_own("kv_b", lab.mla)
        mla.kv_b = _Known(lab.random(1, n_new, heads * (nope + attention.v_head_dim)))  # type: ignore[assignment]
        return partial(mla.decompress, lab.random(1, n_new, entry))

    return _case(lab, "unpack", {"tokens": n_new, "heads": heads, "width": width}, make, 2 * n_new * heads * width)


class _Known(nn.Module):
    """Stands for a layer whose output is known."""

    def __init__(self, out: Tensor) -> None:
        super().__init__()
        self.out = out

    def forward(self, _x: Tensor) -> Tensor:
        """Return the known output."""
        return self.out


def _rotate(lab: Lab, x_SHP: Tensor) -> Work:
    rotation = Rotation.at(0, x_SHP.shape[-3], x_SHP.shape[-1], lab.settings.rope_theta, x_SHP)
    return partial(rotation.rotate, x_SHP)


def _case(lab: Lab, name: str, shape: dict[str, int], make: Make, n_moved: int) -> Case:
    """`n_moved`: numbers read and written at the least."""
    return Case(
        kernel="elementwise", op=f"attention.{name}", shape=shape, dtype=lab.dtype, make=make,
        moved_bytes=float(n_moved * lab.element_bytes),
    )  # fmt: skip
