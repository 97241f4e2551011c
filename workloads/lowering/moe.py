"""The MoE block as work: router, dispatch, grouped experts, combine.

Dispatch and combine of low-latency kernels come in three phases: issue (pack and post), flight (links), receive
(unpack). Normal kernels are one op that holds its SMs throughout. C rank classes, L MoE layers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workloads.batch import ARITHMETIC
from workloads.lowering.border_bytes import border_bytes
from workloads.lowering.expert_exchanges import EXPERT_EXCHANGES
from workloads.lowering.ffn import up_name
from workloads.lowering.kernels import (
    ACTIVATION_BYTES,
    INPUT_BYTES,
    all_reduced,
    elementwise,
    gemm,
    stream_bytes,
)
from workloads.lowering.view import View
from workloads.memory import ROUTER_WEIGHT_BYTES, WEIGHT_BYTES
from workloads.ops import BytesByDistance, FloatArray, Traffic, Work


@dataclass(frozen=True, kw_only=True)
class AllToAllPhases:
    """One all-to-all: `issue`, `flight` and `receive`; for normal kernels all of it is the flight."""

    issue: Sequence[Work]
    flight: Sequence[Work]
    receive: Sequence[Work]

    @property
    def all(self) -> list[Work]:
        """The three phases in a row."""
        return [*self.issue, *self.flight, *self.receive]


@dataclass(frozen=True, kw_only=True)
class MoeBlock:
    """An MoE block in the order of its dataflow."""

    router: Sequence[Work]
    dispatch: AllToAllPhases
    experts: Sequence[Work]
    combine: AllToAllPhases


def payload_bytes(hidden: int, precision: str) -> float:
    """Return the bytes of one token on the wire: DeepEP FP8 carries a 4-byte scale per 128 values and a 16-byte header
    (deepep internode_ll); BF16 two bytes per value, FP32 four."""
    if precision == "fp8":
        return hidden + 4.0 * hidden / 128 + 16.0
    return {"fp8_bare": 1.0, "bf16": 2.0, "fp32": 4.0}[precision] * hidden


def moe_block(view: View, layer: int) -> MoeBlock:
    """Return the MoE block of MoE layer `layer`."""
    at = min(layer, view.loads.rows_LRX.shape[0] - 1)
    build = _BUILDERS.get(view.step.all_to_all, _exchanged)
    dispatch, combine = _local(view), _local(view)
    if view.step.layout.replicated:
        combine = AllToAllPhases(issue=[], flight=_summed(view), receive=[])
    elif view.step.layout.ep > 1:
        hidden, precision = view.step.model.hidden, view.step.precision
        dispatch = build(view, at, "dispatch", payload_bytes(hidden, precision.dispatch), back=False)
        combine = build(view, at, "combine", payload_bytes(hidden, precision.combine), back=True)
    return MoeBlock(router=_router(view), dispatch=dispatch, experts=_experts(view, at), combine=combine)


def _router(view: View) -> list[Work]:
    model = view.step.model
    n_choices = model.moe.n_routed_experts + model.moe.n_zero_experts
    tokens_C = view.batch.tokens_R
    product = gemm(view, "router.gemm", "router", rows_C=tokens_C, n=n_choices, k=model.hidden, precision="bf16")
    weights_C = view.zeros_C + n_choices * model.hidden * ROUTER_WEIGHT_BYTES
    product = Work(**{**product.__dict__, "hbm_bytes_C": weights_C})
    return [product, elementwise(view, "router.top_k", "router", bytes_C=tokens_C * n_choices * 8.0)]


def _experts(view: View, at: int) -> list[Work]:
    """The products of the experts with the activation between them, which writes what the second reads.

    DeepGEMM's contiguous kernels want the rows of an expert side by side: rows are moved there from where they arrived,
    and summed back (permute and unpermute of DeepSeek's training trace; ep_scatter and ep_gather of SGLang)."""
    kernel = _experts_kernel(view)
    model, precision = view.step.model, view.step.precision.weights
    loads, width = view.loads, model.moe.expert_ffn / view.step.layout.moe_tp
    rows_C, active_C, rows_CX = loads.rows_LR[at], loads.active_LR[at], loads.rows_LRX[at]

    def grouped(name: str, n: float, k: float) -> Work:
        return Work(
            name=name,
            kind="experts",
            kernel="grouped_gemm",
            precision=ARITHMETIC.get(precision, precision),
            flops_C=2.0 * rows_C * n * k,
            hbm_bytes_C=active_C * n * k * WEIGHT_BYTES[precision],
            activation_bytes_C=rows_C * (k * INPUT_BYTES[precision] + 2.0 * n),
            shape={
                "rows": rows_C,
                "n": n,
                "k": k,
                "active_experts": active_C,
                "max_rows": rows_CX.max(axis=1),
                "hidden": model.hidden,
                "inter": width,
                "tokens": _entering(view),
                "arrived": loads.arrived_LR[at],
            },
            variant=kernel,
            rows_CX=rows_CX,
            weights=precision,
        )

    act_bytes = ACTIVATION_BYTES * model.n_up + INPUT_BYTES[precision]
    products = [
        grouped(f"experts.{up_name(model)}", model.n_up * width, model.hidden),
        elementwise(view, "experts.act", "experts", bytes_C=rows_C * width * act_bytes),
        grouped("experts.down", model.hidden, width),
    ]
    if kernel != "contiguous" or precision != "fp8":
        return products
    row_bytes_C = rows_C * model.hidden
    permute = elementwise(view, "experts.permute", "experts", bytes_C=2.0 * INPUT_BYTES[precision] * row_bytes_C)
    unpermute = elementwise(view, "experts.unpermute", "experts", bytes_C=2.0 * ACTIVATION_BYTES * row_bytes_C)
    return [permute, *products, unpermute]


def _experts_kernel(view: View) -> str:
    """The grouped kernel: after an all-to-all that sorts tokens by rank, or fused with the sorting of tokens that are
    on every rank of the group anyway (sglang get_moe_impl_class: DeepGEMM after DeepEP, fused_moe_triton without)."""
    if view.step.layout.replicated or view.step.all_to_all == "all_gather":
        return "fused"
    return "contiguous" if view.step.phase == "prefill" or view.step.chunks else "masked"


def _entering(view: View) -> FloatArray:
    """Tokens that enter the layer on a rank: its own, and where all are gathered those of its group."""
    tokens_C = view.batch.tokens_R
    if view.step.all_to_all != "all_gather":
        return tokens_C
    group_C, alike_C = view.classes.group_C["ep"], view.classes.n_alike_C
    total_G, ranks_G = (np.bincount(group_C, weights=weights) for weights in (alike_C * tokens_C, alike_C))
    return np.asarray(view.step.layout.ep * total_G[group_C] / ranks_G[group_C])


def _summed(view: View) -> list[Work]:
    """Replicated tokens: every rank has the rows of its experts already; one all-reduce sums routed and shared ones."""
    tp = view.step.layout.attention_tp
    return all_reduced(view, "combine.all_reduce", group="attention_tp", size=tp, buffer_bytes_C=stream_bytes(view))


def _local(view: View) -> AllToAllPhases:
    """EP of one rank: nothing travels."""
    del view
    return AllToAllPhases(issue=[], flight=[], receive=[])


def _low_latency(view: View, at: int, kind: str, payload: float, *, back: bool) -> AllToAllPhases:
    """One copy per chosen expert; combine sends back what dispatch brought."""
    loads = view.loads
    sent: BytesByDistance = {"node": loads.sent_node_LR[at] * payload, "remote": loads.sent_remote_LR[at] * payload}
    received: BytesByDistance = {
        "node": loads.received_node_LR[at] * payload,
        "remote": loads.received_remote_LR[at] * payload,
    }
    local_C = loads.local_LR[at] * payload
    if back:
        sent, received = received, sent
    borders = border_bytes(view, at, payload, back=back)
    traffic = Traffic(
        sent_C=sent, received_C=received, local_C=local_C, group_C=view.classes.group_C["ep"],
        border_out_C=borders.out_C,
        border_in_C=borders.in_C,
    )  # fmt: skip
    out_C, in_C = sum(sent.values()) + local_C, sum(received.values()) + local_C
    tokens_C = view.batch.tokens_R * view.step.model.hidden * 2.0
    read_C, write_C = (out_C, tokens_C) if back else (tokens_C, in_C)
    issue, receive = (
        _phase(view, kind, phase, bytes_C=b) for phase, b in (("issue", read_C + out_C), ("receive", in_C + write_C))
    )
    shape = _exchange_shape(view) | {
        "copies_out": out_C / payload,
        "copies_in": in_C / payload,
        "messages": sent["remote"] / payload + _remote_flags(view),
        "issue_bytes": issue.activation_bytes_C,
        "receive_bytes": receive.activation_bytes_C,
    }
    flight = _phase(view, kind, "flight", bytes_C=view.zeros_C, traffic=traffic, shape=shape)
    return AllToAllPhases(issue=[issue], flight=[flight], receive=[receive])


def _remote_flags(view: View) -> float:
    """Messages that say how many copies came, one to each expert slot of another node, whether copies go there or not
    (DeepEP, internode_ll.cu: counts after dispatch, flags after combine)."""
    step = view.step
    return step.n_expert_slots * (1.0 - min(1.0, step.devices_per_node / step.layout.ep))


def _exchanged(view: View, at: int, kind: str, payload: float, *, back: bool) -> AllToAllPhases:
    """By an algorithm of `expert_exchanges`: nothing to pack apart, all of it is the flight."""
    build = EXPERT_EXCHANGES[view.step.all_to_all]
    return AllToAllPhases(issue=[], flight=build(view, at, kind, payload, back), receive=[])


def _exchange_shape(view: View) -> dict[str, float | FloatArray]:
    step = view.step
    return {
        "tokens": view.batch.tokens_R,
        "hidden": step.model.hidden,
        "experts": step.n_expert_slots,
        "ranks": step.layout.ep,
        "nodes": -(-step.layout.ep // step.devices_per_node),
    }


def _normal(view: View, at: int, kind: str, payload: float, *, back: bool) -> AllToAllPhases:
    """One copy per destination node over the NIC, forwarded inside the node over NVLink. What a kernel takes follows
    from the copies that leave a rank or those that arrive, whichever are more."""
    loads = view.loads
    sent: BytesByDistance = {"node": loads.nvlink_sent_LR[at] * payload, "remote": loads.nic_sent_LR[at] * payload}
    received: BytesByDistance = {
        "node": loads.nvlink_received_LR[at] * payload,
        "remote": loads.nic_received_LR[at] * payload,
    }
    if back:
        sent, received = received, sent
    borders = border_bytes(view, at, payload, back=back)
    traffic = Traffic(
        sent_C=sent, received_C=received, local_C=view.zeros_C, group_C=view.classes.group_C["ep"],
        border_out_C=borders.out_C,
        border_in_C=borders.in_C,
    )  # fmt: skip
    moved_C = sum(sent.values()) + sum(received.values())
    tokens_C = np.maximum(view.batch.tokens_R, 1e-9)
    shape = _exchange_shape(view) | {
        "rank_copies": np.maximum(loads.reached_LR[at], loads.arrived_LR[at]) / tokens_C,
        "node_copies": np.maximum(loads.nic_sent_LR[at], loads.nic_received_LR[at]) / tokens_C,
        "choices": loads.rows_LR[at].mean() / tokens_C.mean(),
    }
    work = _phase(view, kind, "", bytes_C=np.asarray(moved_C), traffic=traffic, kernel="all_to_all_normal", shape=shape)
    return AllToAllPhases(issue=[], flight=[work], receive=[])


def _phase(
    view: View,
    kind: str,
    phase: str,
    *,
    bytes_C: FloatArray,
    traffic: Traffic | None = None,
    kernel: str = "",
    shape: Mapping[str, float | FloatArray] | None = None,
) -> Work:
    return Work(
        name=f"{kind}.{phase}" if phase else kind,
        kind=kind,
        kernel=kernel or f"all_to_all_{phase}",  # type: ignore[arg-type]
        precision="bf16",
        flops_C=view.zeros_C,
        hbm_bytes_C=view.zeros_C,
        activation_bytes_C=np.asarray(bytes_C),
        traffic=traffic,
        shape=shape or {},
    )


_BUILDERS: Mapping[str, Callable[..., AllToAllPhases]] = {"low_latency": _low_latency, "normal": _normal}
