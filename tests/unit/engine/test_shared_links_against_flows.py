"""All-to-alls over links that groups share, aggregated per link, against one flow for every pair of ranks.

What is provable: the aggregated time is that of the busiest link, which no sharing can beat. Fair flows come near it.
"""

import numpy as np
import pytest
from small_fabrics import PCIE, SHARED_NIC, THREE_LAYERS, fabric
from unit.engine.flow_oracle import fair_rates, makespan_s

from hw_profiles.topology import shared_links
from simulator.borders import lane_bytes_per_s, shared_borders
from workloads.borders import crossings

SAMPLED_EXCESS = 0.10  # fair flows leave the busiest link idle at the end for at most so long (tail of uneven pairs)
FABRICS = {
    "leaves at 2 to 1": (fabric(oversubscription=2.0), 8),
    "rails at 4 to 1": (fabric(kind="rail_fat_tree", oversubscription=4.0), 8),
    "three layers": (THREE_LAYERS, 16),
    "two GPUs on a NIC": (SHARED_NIC, 8),
    "PCIe bridges": (PCIE, 4),
}


def links_of(profile, n):
    """Every message's links and every link's rate: own lanes in and out, and what the topology says is shared."""
    shared = shared_links(profile, n)
    rates = {link.name: link.bytes_per_s for link in shared.links}
    for device in range(n):
        for tier in ("nvlink", "nic"):
            rates |= {f"{tier}{device}.{way}": lane_bytes_per_s(profile, tier) for way in ("out", "in")}

    def crossed(s, d):
        tier = "nvlink" if s // profile.node.n_devices == d // profile.node.n_devices else "nic"
        return (f"{tier}{s}.out", f"{tier}{d}.in", *(link.name for link in shared.crossed(s, d)))

    return rates, crossed


def aggregated_s(profile, pair_SD):
    """The busiest of all lanes and borders, as costs see them."""
    n = len(pair_SD)
    node = np.arange(n) // profile.node.n_devices
    same = node[:, None] == node
    parts = {"node": ("nvlink", np.where(same, pair_SD, 0.0)), "fabric": ("nic", np.where(same, 0.0, pair_SD))}
    times = [m.sum(axis=a).max() / lane_bytes_per_s(profile, tier) for tier, m in parts.values() for a in (0, 1)]
    for shared in shared_borders(profile, n):
        times.append(crossings(shared.border, parts[shared.border.scope][1], 0).max() / shared.bytes_per_s)
    return max(times)


def pairs(n, seed):
    """Bytes between ranks when tokens pick experts at random; none to oneself."""
    rng = np.random.default_rng(seed)
    pair_SD = rng.poisson(40.0, size=(n, n)) * 1e4
    np.fill_diagonal(pair_SD, 0.0)
    return pair_SD


def flows_s(profile, pair_SD):
    n = len(pair_SD)
    rates, crossed = links_of(profile, n)
    return makespan_s([(pair_SD[s, d], crossed(s, d)) for s in range(n) for d in range(n) if s != d], rates)


def test_the_oracle_gives_a_flow_what_the_others_leave():
    flows = {0: ("a", "b"), 1: ("a",), 2: ("b",)}
    assert fair_rates(flows, {"a": 1.0, "b": 3.0}) == pytest.approx({0: 0.5, 1: 0.5, 2: 2.5})


@pytest.mark.parametrize("name", FABRICS)
def test_even_traffic_takes_as_long_as_flows_per_pair(name):
    profile, n = FABRICS[name]
    pair_SD = np.where(np.eye(n, dtype=bool), 0.0, 1e6)
    assert aggregated_s(profile, pair_SD) == pytest.approx(flows_s(profile, pair_SD), rel=1e-9)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", FABRICS)
def test_sampled_traffic_never_beats_the_busiest_link_and_comes_near_it(name, seed):
    profile, n = FABRICS[name]
    pair_SD = pairs(n, seed)
    bound_s, took_s = aggregated_s(profile, pair_SD), flows_s(profile, pair_SD)
    assert bound_s <= took_s * (1.0 + 1e-9)
    assert took_s <= bound_s * (1.0 + SAMPLED_EXCESS)


@pytest.mark.parametrize("name", FABRICS)
def test_one_hot_destination_takes_as_long_as_flows_per_pair(name):
    profile, n = FABRICS[name]
    pair_SD = np.zeros((n, n))
    pair_SD[1:, 0] = 1e6
    assert aggregated_s(profile, pair_SD) == pytest.approx(flows_s(profile, pair_SD), rel=1e-9)
