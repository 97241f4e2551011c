"""Cases of the feed-forward parts: dense FFN, router with top-k, grouped experts, and what moves their rows.

T tokens, D hidden, F width of an expert, G experts held by a rank, M rows.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from validation.measure.case import Case, Lab, cold, linear_case
from validation.measure.moe import counting_case, moe_cases
from validation.measure.timing import Work
from workloads.layers.ffn import swiglu
from workloads.padding import padded_rows

SKEWS = {"even": 0.0, "zipf": 1.0}  # load of the r-th expert falls as r^-skew


def feed_forward_cases(lab: Lab) -> Iterator[Case]:
    """Yield every case of the model's FFN and MoE; no MoE cases for a dense model."""
    for n_tokens in lab.sizes.tokens:
        yield from _dense_ffn(lab, n_tokens)
    if lab.spec.moe.n_routed_experts:
        for n_tokens in lab.sizes.tokens:
            yield _router(lab, n_tokens)
            yield from moe_cases(lab, n_tokens)
        yield counting_case(lab)
        for per_expert in lab.sizes.tokens_per_expert:
            yield from (_grouped_experts(lab, per_expert, load) for load in SKEWS)


def load_of(n_experts: int, tokens_per_expert: int, skew: float) -> NDArray[np.int64]:
    """Return rows of each expert, `tokens_per_expert` on average, in proportion to rank^-skew, heaviest first.

    Whole numbers by largest remainder, so that they add up.
    """
    share_G = np.arange(1, n_experts + 1) ** -skew
    exact_G = share_G / share_G.sum() * n_experts * tokens_per_expert
    load_G: NDArray[np.int64] = np.floor(exact_G).astype(np.int64)
    n_left = n_experts * tokens_per_expert - int(load_G.sum())
    load_G[np.argsort(load_G - exact_G, kind="stable")[:n_left]] += 1
    return load_G


def _dense_ffn(lab: Lab, n_tokens: int) -> Iterator[Case]:
    hidden, width = lab.spec.hidden, lab.spec.dense_ffn
    yield linear_case(lab, "dense_ffn.gate_up", lambda: lab.ffn.gate_up, m=n_tokens, n=2 * width, k=hidden)
    yield linear_case(lab, "dense_ffn.down", lambda: lab.ffn.down, m=n_tokens, n=hidden, k=width)
    yield Case(
        kernel="elementwise", op="dense_ffn.act", shape={"tokens": n_tokens, "width": width}, dtype=lab.dtype,
        make=lambda: partial(swiglu, lab.random(n_tokens, 2 * width)),
        moved_bytes=3.0 * n_tokens * width * lab.element_bytes,
    )  # fmt: skip


def _router(lab: Lab, n_tokens: int) -> Case:
    hidden, moe = lab.spec.hidden, lab.spec.moe
    pool = moe.n_routed_experts + moe.n_zero_experts

    def make() -> Work:
        x_TD = lab.random(n_tokens, hidden)
        return cold(lambda router: router(x_TD), lab.router, pool * hidden * lab.element_bytes)

    return Case(
        kernel="router", op="router", dtype=lab.dtype,
        shape={"tokens": n_tokens, "hidden": hidden, "pool": pool, "top_k": moe.top_k},
        make=make,
        flops=2.0 * n_tokens * hidden * pool, moved_bytes=(pool + n_tokens) * hidden * float(lab.element_bytes),
    )  # fmt: skip


def _grouped_experts(lab: Lab, tokens_per_expert: int, load: str) -> Case:
    hidden, width, n_experts = lab.spec.hidden, lab.spec.moe.expert_ffn, lab.spec.moe.n_routed_experts // lab.n_ranks
    load_G = load_of(n_experts, tokens_per_expert, SKEWS[load])
    n_rows, n_active = int(load_G.sum()), int((load_G > 0).sum())
    n_padded = padded_rows(load_G) if lab.dtype == "fp32" else n_rows  # bf16 has a grouped kernel

    def make() -> Work:
        rows_MD, rows_G = lab.random(n_rows, hidden), torch.from_numpy(load_G).to(lab.device)
        n_bytes = 3 * n_active * hidden * width * lab.element_bytes
        return cold(lambda experts: experts(rows_MD, rows_G), lab.experts, n_bytes)

    return Case(
        kernel="grouped_gemm", op="experts", dtype=lab.dtype, make=make,
        shape={
            "experts": n_experts, "active": n_active, "rows": n_rows, "most": int(load_G.max()), "padded": n_padded,
            "hidden": hidden, "width": width, "load": load,
        },
        flops=6.0 * n_rows * hidden * width,
        moved_bytes=(3.0 * n_active * hidden * width + 2.0 * n_rows * (hidden + width)) * lab.element_bytes,
    )  # fmt: skip
