"""The ScMoE layer as the project's PyTorch layers run it: every op that `longsim measure` times, one by one.

Same dataflow and segments as the layer of serving engines, other kernels: nothing is fused. C rank classes, T tokens,
D hidden, H heads, Q query latent, L key-value latent, X a cache entry.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from workloads.lowering.attention import AttentionBlock
from workloads.lowering.border_bytes import border_bytes
from workloads.lowering.ffn import FfnBlock
from workloads.lowering.moe import AllToAllPhases, MoeBlock
from workloads.lowering.segments import ScmoeLayer
from workloads.lowering.torch_kernels import attention_core, element_bytes, grouped, move, per_head, product
from workloads.lowering.view import View
from workloads.model import MlaSpec
from workloads.ops import FloatArray, Traffic, Work
from workloads.padding import padded_rows
from workloads.zoo import attention_core_flops

INDEX_BYTES = 8.0  # torch's int64


def torch_layer(view: View, index: int, at: int) -> ScmoeLayer:
    """Return ScMoE layer `index` whose MoE has the loads of layer `at`; needs MLA with a compressed query, TP 1."""
    return ScmoeLayer(
        index=index, suffix=view.suffix,
        attention_0=_attention(view, "mla0"), post_norm_0=_norm(view, "mla0.post_norm"), ffn_0=_ffn(view, "ffn0"),
        attention_1=_attention(view, "mla1"), post_norm_1=_norm(view, "mla1.post_norm"), ffn_1=_ffn(view, "ffn1"),
        moe=_moe(view, at), merge=_pass(view, "merge", "residual", "residual", passes=3.0),
        shortcut=view.step.model.shortcut,
    )  # fmt: skip


def _pass(view: View, name: str, op: str, kind: str = "", *, passes: float, width: float = 0.0) -> Work:
    """`passes` times over the tokens' states (or over `width` numbers each), reads and writes counted apart."""
    numbers_C = view.batch.tokens_R * (width or view.step.model.hidden)
    return move(view, name, f"elementwise/{op}", kind, moved_C=passes * numbers_C * element_bytes(view))


def _norm(view: View, name: str) -> Work:
    return _pass(view, name, "norm", "norm", passes=2.0)


def _attention(view: View, name: str) -> AttentionBlock:
    a, rows_C = view.step.model.attention, view.batch.tokens_R
    assert isinstance(a, MlaSpec), "checked with the scenario"
    prefill = view.step.phase == "prefill"
    head_dim, entry = a.qk_nope_head_dim + a.qk_rope_head_dim, a.kv_lora_rank + a.qk_rope_head_dim

    def project(op: str, n: float, k: float) -> Work:
        return product(view, f"{name}.{op}", f"attention.{op}", "attention", rows_C=rows_C, n=n, k=k)

    tokens = partial(_pass, view, kind="attention", passes=2.0)
    prepare = [
        _norm(view, f"{name}.norm"),
        project("q_a", a.q_lora_rank, view.step.model.hidden),
        tokens(f"{name}.q_norm", "attention.q_norm", width=a.q_lora_rank),
        project("q_b", a.n_heads * head_dim, a.q_lora_rank),
        tokens(f"{name}.scale_query", "attention.scale_query", width=a.n_heads * head_dim),
        project("kv_a", entry, view.step.model.hidden),
        tokens(f"{name}.kv_norm", "attention.kv_norm", width=a.kv_lora_rank),
        tokens(f"{name}.scale_latent", "attention.scale_latent", width=a.kv_lora_rank),
        tokens(f"{name}.rope_key", "attention.rope_key", width=a.qk_rope_head_dim),
        tokens(f"{name}.pack_entry", "attention.pack_entry", width=entry),
        tokens(f"{name}.rope_query", "attention.rope_query", width=a.n_heads * a.qk_rope_head_dim),
    ]
    core = _decompressed(view, name, a) if prefill else _absorbed(view, name, a)
    return AttentionBlock(
        prepare=prepare,
        core=[
            *core,
            tokens(f"{name}.merge_heads", "attention.merge_heads", width=a.n_heads * a.v_head_dim),
            project("o", view.step.model.hidden, a.n_heads * a.v_head_dim),
            _pass(view, f"{name}.residual", "residual", "residual", passes=3.0),
        ],
    )


def _absorbed(view: View, name: str, a: MlaSpec) -> Sequence[Work]:
    """Decode: all heads on the latents of the cache."""
    rows_C, batch, e = view.batch.tokens_R, view.batch, element_bytes(view)
    entry = a.kv_lora_rank + a.qk_rope_head_dim

    def absorb(op: str, width: float) -> Work:
        return per_head(view, f"{name}.{op}", f"attention.{op}", rows_C=rows_C, heads=a.n_heads, width=width,
                        latent=a.kv_lora_rank)  # fmt: skip

    tokens = partial(_pass, view, kind="attention", passes=2.0)
    core = attention_core(
        view, f"{name}.core", "attention_decode",
        flops_C=batch.group_pairs_R * attention_core_flops(view.step.model, absorbed=True),
        hbm_C=(batch.group_context_R + batch.group_tokens_R) * entry * e,
        moved_C=rows_C * a.n_heads * (entry + a.kv_lora_rank) * e,
    )  # fmt: skip
    return [
        tokens(f"{name}.cache_append", "attention.cache_append", width=entry),
        absorb("absorb_query", a.qk_nope_head_dim),
        tokens(f"{name}.pack_query", "attention.pack_query", width=a.n_heads * entry),
        core,
        absorb("absorb_value", a.v_head_dim),
    ]


def _decompressed(view: View, name: str, a: MlaSpec) -> Sequence[Work]:
    """Prefill of whole prompts: keys and values of every head unpacked."""
    rows_C, e = view.batch.tokens_R, element_bytes(view)
    head_dim = a.qk_nope_head_dim + a.qk_rope_head_dim
    both = a.n_heads * (a.qk_nope_head_dim + a.v_head_dim)
    tokens = partial(_pass, view, kind="attention", passes=2.0)
    core = attention_core(
        view, f"{name}.core", "attention_prefill",
        flops_C=view.batch.group_pairs_R * attention_core_flops(view.step.model, absorbed=False), hbm_C=view.zeros_C,
        moved_C=2.0 * rows_C * a.n_heads * (head_dim + a.v_head_dim) * e,
    )  # fmt: skip
    return [
        product(view, f"{name}.kv_b", "attention.kv_b", "attention", rows_C=rows_C, n=both, k=a.kv_lora_rank),
        tokens(f"{name}.unpack", "attention.unpack", width=a.n_heads * head_dim),
        tokens(f"{name}.pack_query", "attention.pack_query", width=a.n_heads * head_dim), core,
    ]  # fmt: skip


def _ffn(view: View, name: str) -> FfnBlock:
    hidden, width = view.step.model.hidden, view.step.model.dense_ffn

    def project(op: str, n: float, k: float) -> Work:
        return product(view, f"{name}.{op}", f"dense_ffn.{op}", "dense_ffn", rows_C=view.batch.tokens_R, n=n, k=k)

    products = [
        project("gate_up", 2 * width, hidden),
        _pass(view, f"{name}.act", "dense_ffn.act", "dense_ffn", passes=3.0, width=width),
        project("down", hidden, width),
        _pass(view, f"{name}.residual", "residual", "residual", passes=3.0),
    ]
    return FfnBlock(gather=[], products=products, scatter=[])


def _moe(view: View, at: int) -> MoeBlock:
    """Router; sort, gather and send of rows; experts; rows back, weighed and added up with the identity part."""
    model, loads = view.step.model, view.loads
    pool, tokens_C, e = model.moe.n_routed_experts + model.moe.n_zero_experts, view.batch.tokens_R, element_bytes(view)
    sent_C = loads.local_LR[at] + loads.sent_node_LR[at] + loads.sent_remote_LR[at]
    rows_CX = loads.rows_LRX[at]
    rows_C, row_bytes = rows_CX.sum(axis=1), model.hidden * e

    def rows(name: str, op: str, kind: str, moved_C: FloatArray) -> Work:
        return move(view, name, f"permute/moe.{op}", kind, moved_C=moved_C)

    router = product(view, "router", "router", "router", rows_C=tokens_C, n=pool, k=model.hidden)
    router = replace(router, variant="router/router", activation_bytes_C=tokens_C * row_bytes)  # scores stay in a cache
    sort = rows("dispatch.sort", "sort", "dispatch", tokens_C * model.moe.top_k * INDEX_BYTES)
    permute = rows("dispatch.permute", "permute", "dispatch", 2.0 * sent_C * row_bytes)
    regroup = rows("dispatch.regroup", "regroup", "dispatch", 2.0 * rows_C * row_bytes)
    ungroup = rows("combine.ungroup", "ungroup", "combine", 2.0 * rows_C * row_bytes)
    unpermute = rows("combine.unpermute", "unpermute", "combine", (sent_C + tokens_C) * row_bytes)
    experts = grouped(view, "experts", rows_CX=rows_CX, padded_C=_padded(view, rows_CX), hidden=model.hidden,
                      width=model.moe.expert_ffn)  # fmt: skip
    many = view.step.layout.ep > 1
    loads_first = (
        [_flight(view, "dispatch.loads", "dispatch", at, INDEX_BYTES, back=False, of_rows=False)] if many else []
    )
    return MoeBlock(
        router=[router, sort],
        dispatch=AllToAllPhases(
            issue=[*loads_first, permute],
            flight=[_flight(view, "dispatch.flight", "dispatch", at, row_bytes, back=False)] if many else [],
            receive=[regroup] if many else [],
        ),
        experts=[experts],
        combine=AllToAllPhases(
            issue=[ungroup] if many else [],
            flight=[_flight(view, "combine.flight", "combine", at, row_bytes, back=True)] if many else [],
            receive=[unpermute, rows("combine.identity", "identity", "combine", 3.0 * tokens_C * row_bytes)],
        ),
    )  # fmt: skip


def _padded(view: View, rows_CX: FloatArray) -> FloatArray:
    """Rows computed, padding included: in FP32 as `workloads.padding` cuts them; BF16 has a grouped kernel."""
    if view.step.precision.weights != "fp32":
        return np.asarray(rows_CX.sum(axis=1))
    return np.array([float(padded_rows(np.rint(row_X).astype(np.int64))) for row_X in rows_CX])


def _flight(view: View, name: str, kind: str, at: int, unit_bytes: float, *, back: bool, of_rows: bool = True) -> Work:
    """An all-to-all of rows, or of the row counts that go before them."""
    loads, ep = view.loads, view.step.layout.ep
    if of_rows:
        sent = {"node": loads.sent_node_LR[at], "remote": loads.sent_remote_LR[at]}
        received = {"node": loads.received_node_LR[at], "remote": loads.received_remote_LR[at]}
    else:
        counts = view.step.model.moe.n_routed_experts / ep
        near = min(ep, view.step.devices_per_node) - 1
        sent = received = {"node": view.zeros_C + near * counts, "remote": view.zeros_C + (ep - 1 - near) * counts}
    if back:
        sent, received = received, sent
    borders = border_bytes(view, at, unit_bytes if of_rows else 0.0, back=back)  # counts are too few to crowd a link
    traffic = Traffic(
        sent_C={far: unit_bytes * n_C for far, n_C in sent.items()},  # type: ignore[misc]
        received_C={far: unit_bytes * n_C for far, n_C in received.items()},  # type: ignore[misc]
        local_C=loads.local_LR[at] * unit_bytes, group_C=view.classes.group_C["ep"],
        border_out_C=borders.out_C, border_in_C=borders.in_C,
    )  # fmt: skip
    return Work(
        name=name, kind=kind, kernel="all_to_all_flight", variant="all_to_all/all_to_all.routed", precision="bf16",
        flops_C=view.zeros_C, hbm_bytes_C=view.zeros_C, activation_bytes_C=view.zeros_C, traffic=traffic,
        shape={"ranks": ep},
    )  # fmt: skip
