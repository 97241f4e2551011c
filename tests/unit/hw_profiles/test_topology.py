"""The graph of links: its parts, the ways through it, and what holds on every machine."""

from dataclasses import replace

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_profiles.faults import InputFaults
from hw_profiles.loader import list_profiles, load_profile
from hw_profiles.topology import build_topology, route

H800 = load_profile("h800_sxm")
FAT_TREE = replace(H800, fabric=replace(H800.fabric, kind="fat_tree"))
ONE_NODE = replace(H800, fabric=replace(H800.fabric, kind="single_node", max_devices=8))


def count(topology, kind):
    return sum(1 for _, found in topology.nodes(data="kind") if found == kind)


def way(topology, a, b):
    return [a, *(head for _, head in route(topology, a, b))]


def test_one_node_is_its_devices_around_a_switch():
    topology = build_topology(ONE_NODE, 8)
    assert (count(topology, "device"), count(topology, "nvswitch"), len(topology)) == (8, 1, 9)


def test_each_rail_of_sixteen_nodes_has_one_leaf():
    topology = build_topology(H800, 128)
    counts = [count(topology, kind) for kind in ("device", "nvswitch", "nic", "leaf", "spine")]
    # 8 leaves with 32 ports up each make 256 cables, which 4 spines of 64 ports take.
    assert counts == [128, 16, 128, 8, 4]


def test_a_fat_tree_puts_four_whole_nodes_on_a_leaf():
    topology = build_topology(FAT_TREE, 128)
    assert count(topology, "leaf") == 4
    assert way(topology, "device0", "device31") == ["device0", "nic0", "leaf0", "nic31", "device31"]


def test_a_single_leaf_needs_no_spine():
    assert count(build_topology(FAT_TREE, 32), "spine") == 0


def test_inside_a_node_the_way_leads_over_the_switch():
    assert way(build_topology(H800, 16), "device1", "device6") == ["device1", "nvswitch0", "device6"]


def test_on_one_rail_the_way_leads_over_its_leaf():
    assert way(build_topology(H800, 16), "device1", "device9") == ["device1", "nic1", "leaf1", "nic9", "device9"]


def test_between_rails_the_way_leads_over_the_spine_of_the_destination():
    topology = build_topology(H800, 128)
    assert way(topology, "device1", "device14") == [
        "device1",
        "nic1",
        "leaf1",
        "spine2",  # 14 mod 4 spines
        "leaf6",
        "nic14",
        "device14",
    ]


def test_no_way_leads_from_a_device_to_itself():
    assert route(build_topology(H800, 8), "device0", "device0") == []


@pytest.mark.parametrize(("a", "b"), [("device0", "device8"), ("nic0", "device1")])
def test_a_route_joins_devices_only(a, b):
    with pytest.raises(ValueError, match="allowed device vertices"):
        route(build_topology(H800, 8), a, b)


def test_links_carry_what_payload_reaches_and_their_tier():
    topology = build_topology(H800, 16)
    assert topology["device0"]["nvswitch0"] == {"bytes_per_s": 200e9 * 0.7775, "latency_s": 3.7e-6, "tier": "nvlink"}
    assert topology["nic0"]["leaf0"] == {"bytes_per_s": 50e9 * 0.837, "latency_s": 0.0, "tier": "nic"}


@pytest.mark.parametrize("oversubscription", [1.0, 2.0, 4.0])
def test_a_leaf_sends_up_what_it_takes_from_below_over_the_oversubscription(oversubscription):
    profile = replace(H800, fabric=replace(H800.fabric, oversubscription=oversubscription))
    topology = build_topology(profile, 256)
    up = sum(link["bytes_per_s"] for _, _, link in topology.out_edges("leaf0", data=True) if link["tier"] == "spine")
    down = sum(link["bytes_per_s"] for _, _, link in topology.out_edges("leaf0", data=True) if link["tier"] == "nic")
    assert down / up == pytest.approx(oversubscription)


@pytest.mark.parametrize("n_devices", [0, -1, 2049])
def test_a_fabric_refuses_what_it_cannot_hold(n_devices):
    with pytest.raises(InputFaults) as caught:
        build_topology(H800, n_devices)
    assert str(caught.value) == (
        f"n_devices: got {n_devices}; allowed 1 to 2048 on h800_sxm; "
        "use fewer devices, or a machine whose fabric.max_devices is larger"
    )


@pytest.mark.parametrize("name", list_profiles())
def test_the_same_machine_gives_the_same_graph_in_the_same_order(name):
    profile = load_profile(name)
    first, second = (build_topology(profile, min(24, profile.fabric.max_devices)) for _ in range(2))
    assert list(first.edges(data=True)) == list(second.edges(data=True))


@settings(max_examples=30, deadline=None)
@given(profile=st.sampled_from([H800, FAT_TREE]), n_devices=st.integers(2, 300), data=st.data())
def test_every_device_reaches_every_other_along_existing_links(profile, n_devices, data):
    topology = build_topology(profile, n_devices)
    assert nx.is_strongly_connected(topology)
    a, b = (data.draw(st.integers(0, n_devices - 1)) for _ in range(2))
    edges = route(topology, f"device{a}", f"device{b}")
    assert all(edge in topology.edges for edge in edges)
    if a != b:
        tier = "nvlink" if a // 8 == b // 8 else "nic"
        assert sum(topology.edges[edge]["latency_s"] for edge in edges) == profile.tiers[tier].latency_s
        assert {topology.edges[edge]["tier"] for edge in edges} <= {tier, "spine"}
