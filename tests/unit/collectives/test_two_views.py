"""One truth, two views: a collective alone in the engine takes what its curve, or its closed form, says."""

from math import comb

import pytest
from unit.collectives.isolated import EXPERTS, HIDDEN, TOP_K, alone

from hw_profiles.curves.all_to_all import low_latency_s, normal_s
from hw_profiles.curves.pipe import pipe_s

PERCENT = 0.01  # the bar; exact but for the smallest messages, whose packing a curve may undercut
FP8_COPY, BF16_COPY = HIDDEN * (1 + 4 / 128) + 16, 2 * HIDDEN
SIDES = ("dispatch", "combine")


def touched(groups):
    """How many of `groups` equal parts of the experts eight distinct choices touch, on average."""
    missed = comb(EXPERTS - EXPERTS // groups, TOP_K) / comb(EXPERTS, TOP_K)
    return groups * (1 - missed)


@pytest.mark.parametrize("kind", SIDES)
@pytest.mark.parametrize("ep", [8, 16, 32, 64])
@pytest.mark.parametrize("tokens", [1, 16, 128])
def test_low_latency_on_h100_takes_its_curves_time(kind, ep, tokens):
    one = alone("h100_sxm", kind, ep=ep, tokens=tokens, all_to_all="low_latency")
    curve = one.scenario.fitted["deepep_low_latency", kind].curve
    expected = low_latency_s(tokens, HIDDEN, TOP_K, EXPERTS, ep, chip=one.run.machine.chip, curve=curve)
    assert one.seconds == pytest.approx(float(expected), rel=PERCENT)


@pytest.mark.parametrize("kind", SIDES)
@pytest.mark.parametrize("ep", [8, 16, 64])
@pytest.mark.parametrize("tokens", [8, 512, 4096])
def test_normal_on_h100_takes_its_curves_time(kind, ep, tokens):
    one = alone("h100_sxm", kind, ep=ep, tokens=tokens, all_to_all="normal")
    curve, nodes = one.scenario.fitted["deepep_normal", kind].curve, ep // 8
    expected = normal_s(
        tokens, HIDDEN, touched(ep), touched(nodes) * (1 - 1 / nodes), TOP_K, nodes,
        one.scenario.profile.all_to_all.normal_sms, chip=one.run.machine.chip, curve=curve,
    )  # fmt: skip
    assert one.seconds == pytest.approx(float(expected), rel=PERCENT)


@pytest.mark.parametrize("kernel", ["all_gather", "reduce_scatter"])
@pytest.mark.parametrize("ranks", [2, 4, 8])
@pytest.mark.parametrize("tokens", [1, 64, 4096])
def test_collectives_of_a_node_on_h100_take_their_curves_time(kernel, ranks, tokens):
    one = alone("h100_sxm", "dense_tp", ep=8, dense_tp=ranks, tokens=tokens, kernel=kernel)
    curve = one.scenario.fitted["collectives", f"nccl|{kernel}"].curve
    sent = (ranks - 1.0) * tokens * BF16_COPY
    expected = pipe_s(sent, ranks, link_bytes_per_s=one.run.machine.chip.nvlink_bytes_per_s, curve=curve)
    assert one.seconds == pytest.approx(float(expected), rel=PERCENT)


@pytest.mark.parametrize("kind", SIDES)
@pytest.mark.parametrize("ep", [8, 16, 64])
@pytest.mark.parametrize("tokens", [1, 128, 2048])
def test_one_sided_on_gb200_takes_its_curves_time(kind, ep, tokens):
    one = alone("gb200_nvl72", kind, ep=ep, tokens=tokens, all_to_all="one_sided")
    curve = one.scenario.fitted["gb200_alltoall_trtllm", f"NVLinkOneSided|alltoall_{kind}|nvfp4"].curve
    sent = tokens * touched(ep) * (1 - 1 / ep) * (FP8_COPY if kind == "dispatch" else BF16_COPY)
    expected = pipe_s(sent, ep, link_bytes_per_s=one.run.machine.chip.nvlink_bytes_per_s, curve=curve)
    assert one.seconds == pytest.approx(float(expected), rel=PERCENT)


@pytest.mark.parametrize("kind", SIDES)
@pytest.mark.parametrize(
    ("machine", "ep"), [("h800_sxm", 32), ("h800_sxm", 128), ("gb200_nvl72", 16), ("gb200_nvl72", 64)]
)
def test_without_a_curve_a_low_latency_flight_is_bytes_over_rate_and_a_latency(kind, machine, ep):
    one = alone(machine, kind, ep=ep, tokens=128, all_to_all="low_latency", kernel="all_to_all_flight")
    h800 = machine == "h800_sxm"
    tier = one.scenario.profile.tiers["nic" if h800 else "nvlink"]
    copies = 128 * TOP_K * (1 if h800 else 1 - 1 / ep)  # DeepEP's first release sends all over the NIC, its own too
    n_bytes = copies * (FP8_COPY if kind == "dispatch" else BF16_COPY)
    assert one.seconds == pytest.approx(n_bytes / (tier.bytes_per_s * tier.efficiency) + tier.latency_s, rel=1e-6)


@pytest.mark.parametrize("kernel", ["all_gather", "reduce_scatter"])
@pytest.mark.parametrize("machine", ["h800_sxm", "gb200_nvl72"])
def test_without_a_curve_a_collective_is_bytes_over_rate_and_a_latency(kernel, machine):
    one = alone(machine, "dense_tp", ep=8, dense_tp=4, tokens=256, kernel=kernel)
    profile = one.scenario.profile
    tier, gap_s = profile.tiers["nvlink"], profile.launch.graph_gap_s
    moved_s = 3 * 256 * BF16_COPY / (tier.bytes_per_s * tier.efficiency)
    assert one.seconds == pytest.approx(gap_s + moved_s + tier.latency_s, rel=1e-6)
