"""Ways, rates and failures in fabrics small enough to draw: three layers, shared and several NICs, PCIe bridges."""

from dataclasses import replace
from math import inf

import pytest
import toy
from small_fabrics import GB, PCIE, SHARED_NIC, THREE_LAYERS, TWO_NICS, fabric

from hw_profiles.checks import check_profile
from hw_profiles.faults import InputFaults
from hw_profiles.loader import load_profile
from hw_profiles.schema import Node
from hw_profiles.topology import (
    TIERS,
    bisection_bytes_per_s,
    build_topology,
    failed,
    path_bytes_per_s,
    path_latency_s,
    route,
)


def way(topology, a, b):
    return [a, *(head for _, head in route(topology, a, b))]


def count(topology, kind):
    return sum(1 for _, found in topology.nodes(data="kind") if found == kind)


def test_a_third_layer_joins_pods():
    topology = build_topology(THREE_LAYERS, 16)
    # 4 pods of 2 leaves with 2 cables up each: 2 spines per pod, of 2 cables up each; 4 pods × 2 / 4 ports = 2 cores
    # for each of the 2 places of a spine.
    assert [count(topology, kind) for kind in ("leaf", "spine", "core")] == [8, 8, 4]


def test_between_pods_the_way_leads_over_the_core_of_the_destination():
    topology = build_topology(THREE_LAYERS, 16)
    # Device 7: spine 7 mod 2 of each pod, core 7 div 2 mod 2 of that spine's.
    assert way(topology, "device0", "device7") == [
        "device0", "nic0", "leaf0", "spine1", "core3", "spine3", "leaf3", "nic7", "device7",
    ]  # fmt: skip


def test_inside_a_pod_no_core_is_crossed():
    assert way(build_topology(THREE_LAYERS, 16), "device0", "device3")[2:-2] == ["leaf0", "spine1", "leaf1"]


@pytest.mark.parametrize(("b", "hops"), [(2, 0), (3, 2), (7, 4)])
def test_latencies_add_up_switch_by_switch(b, hops):
    topology = build_topology(THREE_LAYERS, 16)
    spent_s = path_latency_s(topology, route(topology, "device0", f"device{b}"))
    assert spent_s == pytest.approx(1e-6 + hops * 1e-7, rel=1e-12)  # sums of decimals in binary


@pytest.mark.parametrize(("leaf", "core"), [(1.0, 1.0), (2.0, 1.0), (1.0, 2.0), (2.0, 4.0)])
def test_each_layer_sends_up_what_it_takes_from_below_over_its_oversubscription(leaf, core):
    profile = fabric(kind="rail_fat_tree", n_layers=3, oversubscription=leaf, core_oversubscription=core)
    topology = build_topology(profile, 16)
    up = {
        tier: sum(link["bytes_per_s"] for low, high, link in topology.edges(data=True) if link["tier"] == tier) / 2
        for tier in ("spine", "core")
    }
    # 8 leaves of 2 NICs; edges stand in both directions.
    assert up["spine"] == pytest.approx(16 * GB / leaf)
    assert up["core"] == pytest.approx(16 * GB / leaf / core)


def test_a_theory_without_limit_inside_the_node_has_none_in_half_of_it():
    report = load_profile("longcat_report_theory")
    assert bisection_bytes_per_s(build_topology(report, 8)) == inf


@pytest.mark.parametrize("oversubscription", [1.0, 2.0, 4.0])
def test_half_of_a_fat_tree_sends_the_other_half_what_the_leaves_send_up(oversubscription):
    topology = build_topology(fabric(oversubscription=oversubscription), 8)
    assert bisection_bytes_per_s(topology) == pytest.approx(4 * GB / oversubscription)


def test_a_switch_without_blocking_lets_half_a_node_send_at_full_rate():
    assert bisection_bytes_per_s(build_topology(toy.machine(8, 8), 8)) == 4 * GB


def test_two_devices_share_a_nic_of_twice_their_share():
    topology = build_topology(SHARED_NIC, 8)
    assert count(topology, "nic") == 4
    assert way(topology, "device1", "device2")[1] == way(topology, "device0", "device2")[1] == "nic0"
    assert topology["nic0"]["leaf0"]["bytes_per_s"] == 2 * GB


def test_two_nics_of_a_device_halve_its_rate_and_the_destination_selects_one():
    topology = build_topology(TWO_NICS, 8)
    assert count(topology, "nic") == 16
    assert path_bytes_per_s(topology, route(topology, "device0", "device2")) == 0.5 * GB
    assert [way(topology, "device0", b)[1] for b in ("device2", "device3")] == ["nic0", "nic1"]


@pytest.mark.parametrize(
    ("b", "between", "bytes_per_s", "latency_s"),
    [(1, ["bridge0"], GB, 1e-6), (2, ["bridge0", "root0", "root1", "bridge1"], 0.25 * GB, 6e-6)],
)
def test_ways_in_a_pcie_node_pay_for_each_bridge_and_socket(b, between, bytes_per_s, latency_s):
    topology = build_topology(PCIE, 4)
    edges = route(topology, "device0", f"device{b}")
    assert way(topology, "device0", f"device{b}")[1:-1] == between
    assert path_bytes_per_s(topology, edges) == bytes_per_s
    assert path_latency_s(topology, edges) == pytest.approx(latency_s, rel=1e-12)
    assert {topology.edges[edge]["tier"] for edge in edges} == {"pcie"}


def test_bridges_of_one_socket_meet_at_its_root():
    one_socket = replace(PCIE, node=replace(PCIE.node, bridges=replace(PCIE.node.bridges, bridges_per_socket=2)))
    assert way(build_topology(one_socket, 4), "device0", "device2")[1:-1] == ["bridge0", "root0", "bridge1"]


@pytest.mark.parametrize("profile", [THREE_LAYERS, SHARED_NIC, TWO_NICS, PCIE])
def test_edges_have_the_tiers_of_the_vocabulary(profile):
    tiers = {tier for _, _, tier in build_topology(profile, 4).edges(data="tier")}
    assert tiers <= set(TIERS)


def test_a_dead_spine_is_avoided():
    topology = build_topology(THREE_LAYERS, 16)
    left = failed(topology, nodes=["spine1"])
    assert way(left, "device0", "device3")[2:-2] == ["leaf0", "spine0", "leaf1"]
    assert way(left, "device0", "device6") == way(topology, "device0", "device6")


def test_a_cable_is_dead_in_both_directions_whichever_is_named():
    left = failed(build_topology(THREE_LAYERS, 16), links=[("spine1", "leaf0")])
    assert way(left, "device0", "device3")[2:-2] == ["leaf0", "spine0", "leaf1"]


def test_without_its_nic_a_device_sends_over_nvlink_and_the_nic_of_its_neighbour():
    left = failed(build_topology(THREE_LAYERS, 16), nodes=["nic0"])
    # Device 1's NIC hangs on the leaf of device 3: no spine is needed.
    assert way(left, "device0", "device3") == ["device0", "nvswitch0", "device1", "nic1", "leaf1", "nic3", "device3"]
    assert way(left, "device2", "device0")[-3:] == ["device1", "nvswitch0", "device0"]


def test_of_two_nics_the_other_takes_over():
    left = failed(build_topology(TWO_NICS, 8), nodes=["nic0"])
    assert way(left, "device0", "device2")[1] == "nic1"


def test_what_has_failed_is_gone_from_the_copy_alone():
    topology = build_topology(THREE_LAYERS, 16)
    before = list(topology.edges(data=True))
    left = failed(topology, nodes=["device5"], links=[("nic0", "leaf0")])
    assert list(topology.edges(data=True)) == before
    assert "device5" not in left
    assert not left.has_edge("leaf0", "nic0")


def test_devices_that_nothing_joins_any_more_are_named():
    with pytest.raises(InputFaults) as caught:
        failed(build_topology(THREE_LAYERS, 8), nodes=["nic0", "nic1"])
    assert str(caught.value) == (
        "topology: got no way left from device0, device1 to device2, device3, device4, device5 and 2 more; "
        "allowed devices that reach each other; let fewer links and switches fail, or leave these devices out"
    )


def test_no_device_of_a_third_node_relays():
    # Node 0 keeps rail 0, node 1 rail 1, and no spine joins the rails: only node 2 or 3 could pass bytes on.
    rails = build_topology(fabric(kind="rail_fat_tree", ports_per_switch=8), 8)
    left = failed(rails, nodes=["nic1", "nic2", *(vertex for vertex in rails if vertex.startswith("spine"))])
    with pytest.raises(InputFaults, match="no way left from device0 to device2"):
        route(left, "device0", "device2")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"nodes": ["spin1"]}, "nodes: got 'spin1'; allowed vertices of the topology; did you mean 'spine1'?"),
        ({"links": [("nic0", "leaf7")]}, "links: got nic0 to leaf7; allowed pairs of vertices that a link joins"),
    ],
)
def test_what_is_not_there_cannot_fail(what, said):
    with pytest.raises(InputFaults) as caught:
        failed(build_topology(THREE_LAYERS, 16), **what)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("profile", "field"),
    [
        (replace(PCIE, node=Node(n_devices=4, kind="pcie")), "node.bridges"),
        (replace(PCIE, node=replace(PCIE.node, kind="nvlink")), "node.bridges"),
        (
            replace(PCIE, node=replace(PCIE.node, bridges=replace(PCIE.node.bridges, devices_per_bridge=3))),
            "node.bridges.devices_per_bridge",
        ),
        (fabric(devices_per_nic=2, nics_per_device=2), "fabric.nics_per_device"),
        (fabric(devices_per_nic=3), "fabric.devices_per_nic"),
        (fabric(n_layers=3, nics_per_device=2, leaves_per_pod=3), "fabric.leaves_per_pod"),
        (fabric(n_layers=4), "fabric.n_layers"),
    ],
)
def test_impossible_nodes_and_fabrics_are_refused(profile, field):
    faults = [fault for fault in check_profile(profile) if "without a source" not in fault.got]
    assert field in [fault.field for fault in faults]
