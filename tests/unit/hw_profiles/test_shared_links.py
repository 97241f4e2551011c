"""Which links a message shares with others: as the graph says, however devices are numbered."""

from collections import Counter

import pytest
from small_fabrics import GB, PCIE, SHARED_NIC, THREE_LAYERS, TWO_NICS, fabric

from hw_profiles.loader import load_profile
from hw_profiles.topology import build_topology, path_latency_s, route, shared_links

MACHINES = {
    "two layers": (fabric(oversubscription=2.0), 16),
    "three layers": (THREE_LAYERS, 16),
    "shared NIC": (SHARED_NIC, 16),
    "two NICs": (TWO_NICS, 16),
    "PCIe": (PCIE, 4),
    "two NVL72": (load_profile("gb200_nvl72"), 144),
}


def names(links, source, destination):
    return [link.name for link in links.crossed(source, destination)]


def pairs(n_devices):
    step = max(1, n_devices // 16)  # of 144 devices every ninth will do
    return [(s, d) for s in range(0, n_devices, step) for d in range(0, n_devices, step) if s != d]


def test_between_pods_a_message_goes_up_and_down_both_borders():
    links = shared_links(THREE_LAYERS, 16)
    assert names(links, 0, 7) == ["leaf0.up", "pod0.up", "leaf3.down", "pod1.down"]
    assert names(links, 0, 3) == ["leaf0.up", "leaf1.down"]
    assert names(links, 0, 2) == []


def test_inside_a_node_nothing_of_the_fabric_is_crossed():
    assert names(shared_links(THREE_LAYERS, 16), 0, 1) == []


def test_devices_of_one_nic_share_it():
    links = shared_links(SHARED_NIC, 8)
    nic = next(link for link in links.links if link.name == "nic0.up")
    assert (nic.devices, nic.bytes_per_s) == ((0, 1), 2 * GB)
    assert "nic0.up" in names(links, 1, 2)


def test_private_lanes_are_not_shared_links():
    assert shared_links(load_profile("h800_sxm"), 8).links[0].tier == "spine"
    assert shared_links(fabric(), 4).crossed(0, 1) == []


def test_a_leaf_shares_what_it_sends_up():
    links = {link.name: link for link in shared_links(fabric(oversubscription=2.0), 8).links}
    # Two NICs of 1 GB/s on each leaf, half of it upwards.
    assert (links["leaf1.up"].bytes_per_s, links["leaf1.up"].devices) == (GB, (2, 3))


def test_bridges_and_sockets_bound_what_crosses_them():
    links = shared_links(PCIE, 4)
    assert names(links, 0, 1) == []
    assert names(links, 0, 2) == ["bridge0.up", "root0.up", "bridge1.down", "root1.down"]
    assert [link.bytes_per_s for link in links.crossed(0, 2)] == [0.5 * GB, 0.25 * GB, 0.5 * GB, 0.25 * GB]


@pytest.mark.parametrize("name", MACHINES)
def test_shared_links_have_the_latency_of_the_way_beyond_its_tier(name):
    profile, n = MACHINES[name]
    topology, links = build_topology(profile, n), shared_links(profile, n)
    for s, d in pairs(n):
        tier = "nvlink" if s // profile.node.n_devices == d // profile.node.n_devices else "nic"
        shared_s = sum(link.share * link.latency_s for link in links.crossed(s, d))
        whole_s = path_latency_s(topology, route(topology, f"device{s}", f"device{d}"))
        assert profile.tiers[tier].latency_s + shared_s == pytest.approx(whole_s, rel=1e-12)


@pytest.mark.parametrize("name", MACHINES)
def test_what_goes_up_comes_down(name):
    profile, n = MACHINES[name]
    links = shared_links(profile, n)
    for s, d in pairs(n):
        carried = Counter()
        for link in links.crossed(s, d):
            carried[link.tier, link.direction] += link.share
        assert all(carried[tier, "up"] == carried[tier, "down"] for tier, _ in list(carried))
        assert all(carried[tier, "up"] <= 1.0 for tier in ("nic", "spine", "core"))


@pytest.mark.parametrize("name", MACHINES)
def test_tiers_crossed_are_those_of_the_way(name):
    profile, n = MACHINES[name]
    topology, links = build_topology(profile, n), shared_links(profile, n)
    for s, d in pairs(n):
        edges = route(topology, f"device{s}", f"device{d}")
        on_way = {topology.edges[edge]["tier"] for edge in edges} & {"spine", "core"}
        assert {link.tier for link in links.crossed(s, d)} - {"nic", "pcie"} == on_way


def test_nodes_of_one_leaf_may_change_places():
    """A rail leaf holds the same rail of its nodes: to swap two nodes changes no link that others cross."""
    links = shared_links(THREE_LAYERS, 16)
    swapped = {0: 2, 1: 3, 2: 0, 3: 1}
    for s, d in pairs(16):
        assert names(links, s, d) == names(links, swapped.get(s, s), swapped.get(d, d)) or {s, d} <= set(swapped)


def test_pods_that_change_places_take_their_links_along():
    links = shared_links(THREE_LAYERS, 16)
    moved = {device: (device + 4) % 16 for device in range(16)}  # each pod of four devices becomes the next
    for s, d in pairs(16):
        here, there = links.crossed(s, d), links.crossed(moved[s], moved[d])
        assert [{moved[device] for device in link.devices} for link in here] == [set(link.devices) for link in there]
