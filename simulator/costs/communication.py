"""Collectives as latency plus bytes over the tiers they cross.

C rank classes.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from simulator.borders import lane_bytes_per_s
from simulator.costs.cost import Cost, Machine, finish_cost
from simulator.resources import Demand
from workloads.ops import BytesByDistance, Distance, FloatArray, Traffic, Work

NODE_COLLECTIVE_SMS = 4  # thread blocks of the NVLS all-gather and reduce-scatter (LongCat-Flash report, section 5.1)


def communication_cost(work: Work, machine: Machine) -> Cost:
    """Return the demand of one communication op, by its kernel family."""
    if work.kernel in {"all_to_all_issue", "all_to_all_receive"}:
        return _packing(work, machine)
    if work.kernel == "all_to_all_flight":
        return _flight(work, machine)
    if work.kernel == "all_to_all_normal":
        return _normal(work, machine)
    return _node_collective(work, machine)


def _local_bytes(work: Work, machine: Machine) -> dict[str, FloatArray]:
    l2_C = np.minimum(work.activation_bytes_C, machine.profile.device.l2_bytes)
    return {"hbm": work.activation_bytes_C - l2_C, "l2": l2_C}


def _packing(work: Work, machine: Machine) -> Cost:
    """Issue and receive: the low-latency kernels hold their SMs while they copy between tokens and buffers."""
    demand = Demand(
        latency_s_C=np.full_like(work.flops_C, machine.launch_gap_s),
        sm_s_C=np.zeros_like(work.flops_C),
        sms=machine.profile.all_to_all.low_latency_sms,
        holds_sms=machine.profile.all_to_all.low_latency_sms > 0,
        bytes_C=_local_bytes(work, machine),
    )
    return finish_cost(machine, work, demand)


def _flight(work: Work, machine: Machine) -> Cost:
    """Bytes on the links, then the latency of the slowest tier; SMs only where the kernels have no receive hook.

    A kernel library that sends every copy over the NIC (`low_latency_tiers = "nic"`) stays on NVLink only where there
    is but one node; `counts_local_copies` charges the copies that a rank sends to itself, as rates quoted per copy do:
    they take time and are not among the bytes sent. Where a proxy posts messages one by one (`message_s`), the way to
    the NIC is taken for as long as that lasts, if longer than for the bytes.
    """
    rules, traffic = machine.profile.all_to_all, traffic_of(work)
    nic_only = rules.low_latency_tiers == "nic" and not machine.one_node
    sent, received = traffic.sent_C, traffic.received_C
    charged_out, charged_in = sent, received
    if nic_only:
        local_C = traffic.local_C if rules.counts_local_copies else np.zeros_like(traffic.local_C)
        charged_out, charged_in = (_over_nic(moved, local_C) for moved in (sent, received))
        sent = _over_nic(sent, np.zeros_like(local_C))
    links = _link_bytes(charged_out, charged_in)
    if rules.message_s and "nic.egress" in links:
        posted_C = work.shape["messages"] * rules.message_s * lane_bytes_per_s(machine.profile, "nic")
        links["nic.egress"] = np.maximum(links["nic.egress"], posted_C)
    sms = 0 if rules.hooked else rules.low_latency_sms
    demand = Demand(
        latency_s_C=np.zeros_like(work.flops_C),
        sm_s_C=np.zeros_like(work.flops_C),
        sms=sms,
        holds_sms=sms > 0,
        bytes_C=links | border_bytes(traffic),
        group_C=traffic.group_C,
        tail_latency_s=_latency_s(sent, machine) + border_latency_s(traffic, machine),
    )
    return _on_links(work, machine, demand, sent)


def _over_nic(moved: BytesByDistance, local_C: FloatArray) -> BytesByDistance:
    """All of it as bytes of the NIC."""
    return {"remote": moved["node"] + moved["remote"] + local_C}


def _normal(work: Work, machine: Machine) -> Cost:
    """One kernel that holds its SMs throughout; both tiers move at once, the slower one and its latency decide."""
    traffic, sms = traffic_of(work), machine.profile.all_to_all.normal_sms
    sent, received = traffic.sent_C, traffic.received_C
    demand = Demand(
        latency_s_C=np.full_like(work.flops_C, machine.launch_gap_s),
        sm_s_C=np.zeros_like(work.flops_C),
        sms=sms,
        holds_sms=sms > 0,
        bytes_C={**_link_bytes(sent, received), **border_bytes(traffic), **_local_bytes(work, machine)},
        group_C=traffic.group_C,
        tail_latency_s=_latency_s(sent, machine) + border_latency_s(traffic, machine),
    )
    return _on_links(work, machine, demand, sent)


def _node_collective(work: Work, machine: Machine) -> Cost:
    """All-gather and reduce-scatter over NVLink; a few thread blocks drive them."""
    traffic = traffic_of(work)
    demand = Demand(
        latency_s_C=np.full_like(work.flops_C, machine.launch_gap_s),
        sm_s_C=np.zeros_like(work.flops_C),
        sms=NODE_COLLECTIVE_SMS,
        bytes_C=_link_bytes(traffic.sent_C, traffic.received_C),
        group_C=traffic.group_C,
        tail_latency_s=machine.profile.tiers["nvlink"].latency_s,
    )
    return _on_links(work, machine, demand, traffic.sent_C)


def border_bytes(traffic: Traffic) -> dict[str, FloatArray]:
    """Return the bytes on each link that a rank's group shares, all of the group together: out of it and into it."""
    ways = {"egress": traffic.border_out_C, "ingress": traffic.border_in_C}
    return {f"{name}.{way}": n_C for way, by_name in ways.items() for name, n_C in by_name.items() if np.any(n_C > 0.0)}


def border_latency_s(traffic: Traffic, machine: Machine) -> float:
    """Return the latency of the borders on the way [s], up and down."""
    crossed = [name for name, n_C in traffic.border_out_C.items() if np.any(n_C > 0.0)]
    return sum(2.0 * machine.borders[name].latency_s for name in crossed if name in machine.borders)


_TIER: Mapping[Distance, str] = {"node": "nvlink", "remote": "nic"}


def traffic_of(work: Work) -> Traffic:
    """Return the traffic of a communication op."""
    assert work.traffic is not None, f"{work.name} is communication and moves nothing"
    return work.traffic


def _link_bytes(sent: BytesByDistance, received: BytesByDistance) -> dict[str, FloatArray]:
    amounts = {f"{_TIER[distance]}.egress": bytes_C for distance, bytes_C in sent.items()}
    amounts |= {f"{_TIER[distance]}.ingress": bytes_C for distance, bytes_C in received.items()}
    return {name: bytes_C for name, bytes_C in amounts.items() if np.any(bytes_C > 0.0)}


def _latency_s(sent: BytesByDistance, machine: Machine) -> float:
    used = [_TIER[distance] for distance, bytes_C in sent.items() if np.any(bytes_C > 0.0)]
    return max((machine.profile.tiers[tier].latency_s for tier in used), default=0.0)


def _on_links(work: Work, machine: Machine, demand: Demand, sent: BytesByDistance) -> Cost:
    used = {_TIER[distance]: bytes_C for distance, bytes_C in sent.items() if np.any(bytes_C > 0.0)}
    tier = "nic" if "nic" in used else "nvlink"
    cost = finish_cost(machine, work, demand, tier=tier, latency_figure=f"tiers.{tier}.latency_s")
    return replace(cost, sent_bytes=used)
