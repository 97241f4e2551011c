"""Dispatch and combine by other algorithms than DeepEP's kernels: each all-to-all as a row of exchanges.

C rank classes.
"""

from collections.abc import Callable, Mapping

from workloads.lowering.border_bytes import NO_BORDERS, BorderBytes, border_bytes
from workloads.lowering.exchanges import Members, all_gather, exchange, members, reduce_scatter
from workloads.lowering.view import View
from workloads.ops import BytesByDistance, Exchange, Work

Builder = Callable[[View, int, str, float, bool], list[Work]]


def _group(view: View) -> Members:
    step = view.step
    return members(step.layout.ep, step.devices_per_node, view.classes.group_C["ep"])


def _all_gather(view: View, at: int, kind: str, payload: float, back: bool) -> list[Work]:
    """Every rank gets every token of the group and computes those of its experts; partial sums come back by
    reduce-scatter (LongCat-Flash report, section 5: preferred to the all-to-all, whose volume grows with top-k)."""
    del at
    build = reduce_scatter if back else all_gather
    return [build(kind, kind, group=_group(view), shard_bytes_C=view.batch.tokens_R * payload)]


def _pairwise(view: View, at: int, kind: str, payload: float, back: bool) -> list[Work]:
    """One copy per chosen expert, straight to its rank (Megatron-LM's all-to-all token dispatcher, over NCCL's grouped
    send and receive); all pairs at once, a latency of each tier."""
    loads = view.loads
    sent: BytesByDistance = {"node": loads.sent_node_LR[at] * payload, "remote": loads.sent_remote_LR[at] * payload}
    received: BytesByDistance = {
        "node": loads.received_node_LR[at] * payload,
        "remote": loads.received_remote_LR[at] * payload,
    }
    return [
        _between(view, kind, "pairwise", sent, received, back=back, borders=border_bytes(view, at, payload, back=back))
    ]


def _hierarchical(view: View, at: int, kind: str, payload: float, back: bool) -> list[Work]:
    """One copy per destination node on the source's rail, then one per rank over NVLink: the bytes of DeepEP's normal
    kernels, but one stage after the other (as Tutel's 2DH, arXiv 2206.03382, section 4.3, without its pipelining)."""
    loads, none_C = view.loads, view.zeros_C
    over_rails = border_bytes(view, at, payload, back=back, scopes=["fabric"])
    in_nodes = border_bytes(view, at, payload, back=back, scopes=["node"])
    rail = (loads.nic_sent_LR[at] * payload, loads.nic_received_LR[at] * payload)
    inside = (loads.nvlink_sent_LR[at] * payload, loads.nvlink_received_LR[at] * payload)
    stages = [
        _between(view, f"{kind}.rail", "hierarchical", {"node": none_C, "remote": rail[0]},
                 {"node": none_C, "remote": rail[1]}, back=back, purpose=kind, borders=over_rails),
        _between(view, f"{kind}.node", "hierarchical", {"node": inside[0], "remote": none_C},
                 {"node": inside[1], "remote": none_C}, back=back, purpose=kind, borders=in_nodes),
    ]  # fmt: skip
    return stages[::-1] if back else stages


def _one_sided(view: View, at: int, kind: str, payload: float, back: bool) -> list[Work]:
    """One copy per other rank that a token reaches, written straight into its memory over NVLink (TensorRT-LLM tech
    blog 18, NVLinkOneSided); the group stands in one NVLink domain."""
    loads, none_C = view.loads, view.zeros_C
    sent: BytesByDistance = {"node": loads.nvlink_sent_LR[at] * payload, "remote": none_C}
    received: BytesByDistance = {"node": loads.nvlink_received_LR[at] * payload, "remote": none_C}
    return [_between(view, kind, "one_sided", sent, received, back=back)]


EXPERT_EXCHANGES: Mapping[str, Builder] = {
    "all_gather": _all_gather,
    "pairwise": _pairwise,
    "hierarchical": _hierarchical,
    "one_sided": _one_sided,
}


def _between(
    view: View, name: str, algorithm: Exchange, sent: BytesByDistance, received: BytesByDistance, *, back: bool,
    purpose: str = "", borders: BorderBytes = NO_BORDERS,
) -> Work:  # fmt: skip
    """An exchange of an EP group; combine sends back what dispatch brought. A latency of each tier that it uses."""
    used = {distance: int(any(float(bytes_C.max()) > 0.0 for bytes_C in (sent[distance], received[distance])))
            for distance in ("node", "remote")}  # fmt: skip
    if back:
        sent, received = received, sent
    return exchange(
        name, purpose or name, algorithm, group=_group(view), sent=sent, received=received, node_hops=used["node"],
        remote_hops=used["remote"], border_out_C=borders.out_C, border_in_C=borders.in_C,
    )  # fmt: skip
