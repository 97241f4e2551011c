"""Cases of multi-head latent attention: projections, absorption, the core, and what stands between (`latents`).

T tokens, B sequences, S new positions, C positions in context, H heads, A / P head dims without and with rope,
V value head dim, L key-value latent, X = L + P a cache entry.
"""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from validation.measure.case import Case, Lab, cold, linear_case, with_own
from validation.measure.latents import latent_cases
from validation.measure.timing import Work
from workloads.layers.attention_core import attend_causally, attend_latents
from workloads.model import MlaSpec
from workloads.zoo import attention_core_flops


def attention_cases(lab: Lab) -> Iterator[Case]:
    """Yield every case of the model's attention; none where it is not MLA with a compressed query."""
    attention = lab.spec.attention
    if isinstance(attention, MlaSpec) and attention.q_lora_rank:
        for n_tokens in lab.sizes.tokens:
            yield from _projections(lab, attention, n_tokens)
            yield from _absorptions(lab, attention, n_tokens)
        for n_sequences in lab.sizes.batches:
            yield from (_decode(lab, attention, n_sequences, context) for context in lab.sizes.contexts)
        yield from (_prefill(lab, attention, n_new) for n_new in lab.sizes.prompts)
        yield from latent_cases(lab, attention)


def _projections(lab: Lab, attention: MlaSpec, n_tokens: int) -> Iterator[Case]:
    head_dim = attention.qk_nope_head_dim + attention.qk_rope_head_dim
    shapes = {  # name: (columns, depth)
        "q_a": (attention.q_lora_rank, lab.spec.hidden),
        "q_b": (attention.n_heads * head_dim, attention.q_lora_rank),
        "kv_a": (attention.kv_lora_rank + attention.qk_rope_head_dim, lab.spec.hidden),
        "kv_b": (attention.n_heads * (attention.qk_nope_head_dim + attention.v_head_dim), attention.kv_lora_rank),
        "o": (lab.spec.hidden, attention.n_heads * attention.v_head_dim),
    }
    for name, (n, k) in shapes.items():
        yield linear_case(lab, f"attention.{name}", partial(_projection, lab, name), m=n_tokens, n=n, k=k)


def _projection(lab: Lab, name: str) -> nn.Module:
    return lab.mla.get_submodule(name)


def _absorptions(lab: Lab, attention: MlaSpec, n_tokens: int) -> Iterator[Case]:
    """W_k^T q and W_v c of every head: batched products over heads."""
    latent, heads = attention.kv_lora_rank, attention.n_heads
    nope, head_dim = attention.qk_nope_head_dim, attention.qk_nope_head_dim + attention.qk_rope_head_dim
    for op, width, inner, stored in (  # the query is a part of its head
        ("absorb_query", nope, nope, head_dim),
        ("absorb_value", attention.v_head_dim, latent, latent),
    ):

        def make(op: str = op, width: int = width, inner: int = inner, stored: int = stored) -> Work:
            x_T1HX = lab.random(n_tokens, 1, heads, stored)[..., :inner]
            n_bytes = heads * width * latent * lab.element_bytes
            return cold(lambda mla: getattr(mla, op)(x_T1HX), lab.mla, n_bytes, partial(with_own, "kv_b"))

        moved = heads * (n_tokens * (width + latent) + width * latent) * lab.element_bytes
        yield Case(
            kernel="batched_gemm", op=f"attention.{op}", dtype=lab.dtype, make=make,
            shape={"tokens": n_tokens, "heads": heads, "width": width, "latent": latent},
            flops=2.0 * n_tokens * heads * width * latent, moved_bytes=float(moved),
        )  # fmt: skip


def _decode(lab: Lab, attention: MlaSpec, n_sequences: int, context: int) -> Case:
    """One new position of each sequence on the latents of its context."""
    latent, entry = attention.kv_lora_rank, attention.kv_lora_rank + attention.qk_rope_head_dim
    scale = (attention.qk_nope_head_dim + attention.qk_rope_head_dim) ** -0.5

    def make() -> Work:
        query_BSHX = lab.random(n_sequences, 1, attention.n_heads, entry)
        context_BCX = lab.random(n_sequences, context, entry)
        return cold(
            lambda read_BCX: attend_latents(query_BSHX, read_BCX, latent, scale),
            context_BCX, context_BCX.nbytes, torch.clone,
        )  # fmt: skip

    moved = n_sequences * (context * entry + attention.n_heads * (entry + latent)) * lab.element_bytes
    return Case(
        kernel="attention_decode", op="attention.core", dtype=lab.dtype, make=make,
        shape={"batch": n_sequences, "context": context, "heads": attention.n_heads},
        flops=attention_core_flops(lab.spec, absorbed=True) * n_sequences * context, moved_bytes=float(moved),
    )  # fmt: skip


def _prefill(lab: Lab, attention: MlaSpec, n_new: int) -> Case:
    """A prompt of `n_new` positions on itself, keys and values unpacked."""
    head_dim, heads = attention.qk_nope_head_dim + attention.qk_rope_head_dim, attention.n_heads

    def make() -> Work:
        query_BSHX, key_BCHX = (lab.random(1, n_new, heads, head_dim) for _ in range(2))
        value_BCHV: Tensor = lab.random(1, n_new, heads, attention.v_head_dim)
        return partial(attend_causally, query_BSHX, key_BCHX, value_BCHV, head_dim**-0.5)

    n_pairs = n_new * (n_new + 1) / 2  # causal
    return Case(
        kernel="attention_prefill", op="attention.core", dtype=lab.dtype, make=make,
        shape={"batch": 1, "new": n_new, "context": n_new, "heads": heads},
        flops=attention_core_flops(lab.spec, absorbed=False) * n_pairs,
        moved_bytes=2.0 * n_new * heads * (head_dim + attention.v_head_dim) * lab.element_bytes,
    )  # fmt: skip
