"""Each impossible machine is refused, with the field, the value, what is allowed and what to do."""

from dataclasses import replace
from math import inf, nan

import pytest

from hw_profiles.checks import check_profile
from hw_profiles.loader import load_profile
from hw_profiles.schema import HardwareProfile, Provenance, Tier

H800 = load_profile("h800_sxm")
HAND = Provenance(source="assumed", reference="by hand")


def lines(profile: HardwareProfile) -> list[str]:
    return [str(fault) for fault in check_profile(profile)]


def with_device(**changes: object) -> HardwareProfile:
    return replace(H800, device=replace(H800.device, **changes))


def with_nic(**changes: object) -> HardwareProfile:
    return replace(H800, tiers={**H800.tiers, "nic": replace(H800.tiers["nic"], **changes)})


def with_fabric(**changes: object) -> HardwareProfile:
    return replace(H800, fabric=replace(H800.fabric, **changes))


def with_efficiency(**changes: object) -> HardwareProfile:
    return replace(H800, efficiency=replace(H800.efficiency, **changes))


def with_all_to_all(**changes: object) -> HardwareProfile:
    return replace(H800, all_to_all=replace(H800.all_to_all, **changes))


def test_a_sound_profile_has_no_faults():
    assert lines(H800) == []


NUMBERS = [
    (with_device(n_sms=200_000), "device.n_sms: got 200000; allowed 1 to 100000; write streaming multiprocessors"),
    (with_device(hbm_bytes=80.0), "device.hbm_bytes: got 80; allowed 1000 to 1e+15; write bytes"),
    (with_device(hbm_bytes=inf), "device.hbm_bytes: got inf; allowed 1000 to 1e+15; write bytes"),
    (
        with_device(hbm_bytes_per_s=3.35),
        "device.hbm_bytes_per_s: got 3.35; allowed 1e+06 to 1e+16 or inf; write bytes per second",
    ),
    (
        with_device(l2_bytes_per_s=-inf),
        "device.l2_bytes_per_s: got -inf; allowed 1e+06 to 1e+16 or inf; write bytes per second",
    ),
    (
        with_device(usable_hbm_share=0.0),
        "device.usable_hbm_share: got 0; allowed 1e-06 to 1; write a share of the datasheet figure",
    ),
    (with_device(l2_bytes=nan), "device.l2_bytes: got nan; allowed 1000 to 1e+15; write bytes"),
    (with_device(power_w=-700.0), "device.power_w: got -700; allowed 1 to 100000; write watts"),
    (
        with_device(usd_per_hour=-2.0),
        "device.usd_per_hour: got -2; allowed 0 to 1000; write US dollars per device and hour",
    ),
    (
        with_device(peak_flops_per_s={"bf16": 989.0, "fp8": 1979e12}),
        "device.peak_flops_per_s.bf16: got 989; allowed 1e+09 to 1e+18; write FLOP per second",
    ),
    (
        with_nic(bytes_per_s=nan),
        "tiers.nic.bytes_per_s: got nan; allowed 1e+06 to 1e+16 or inf; write bytes per second",
    ),
    (
        with_nic(efficiency=1.1),
        "tiers.nic.efficiency: got 1.1; allowed 1e-06 to 1; write a share of the datasheet figure",
    ),
    (with_nic(latency_s=7.3), "tiers.nic.latency_s: got 7.3; allowed 0 to 0.1; write seconds"),
    (with_nic(latency_s=inf), "tiers.nic.latency_s: got inf; allowed 0 to 0.1; write seconds"),
    (
        with_fabric(oversubscription=0.5),
        "fabric.oversubscription: got 0.5; allowed 1 to 1000; write downlink over uplink capacity",
    ),
    (
        with_efficiency(gemm={"bf16": 1.5, "fp8": 0.8}),
        "efficiency.gemm.bf16: got 1.5; allowed 1e-06 to 1; write a share of the datasheet figure",
    ),
    (with_efficiency(hbm=nan), "efficiency.hbm: got nan; allowed 1e-06 to 1; write a share of the datasheet figure"),
    (
        replace(H800, launch=replace(H800.launch, graph_gap_s=-1e-6)),
        "launch.graph_gap_s: got -1e-06; allowed 0 to 0.1; write seconds",
    ),
    (
        with_all_to_all(normal_sms=-1),
        "all_to_all.normal_sms: got -1; allowed 0 to 100000; write streaming multiprocessors",
    ),
    (
        replace(H800, node=replace(H800.node, n_devices=0)),
        "node.n_devices: got 0; allowed 1 to 10000; write devices",
    ),
]


@pytest.mark.parametrize(("profile", "line"), NUMBERS, ids=[line.split(";")[0] for _, line in NUMBERS])
def test_an_impossible_number_is_refused(profile, line):
    assert lines(profile) == [line]


@pytest.mark.parametrize("profile", [with_device(l2_bytes_per_s=inf), with_nic(bytes_per_s=inf)])
def test_a_bandwidth_may_be_infinite(profile):
    assert lines(profile) == []


def test_a_number_without_provenance_is_refused():
    provenance = {path: entry for path, entry in H800.provenance.items() if path != "node.n_devices"}
    assert lines(replace(H800, provenance=provenance)) == [
        "node.n_devices: got 8 without a source; allowed numbers with an entry in provenance; "
        "add its source and reference"
    ]


def test_an_unknown_tier_names_the_nearest_and_the_absent_one_is_asked_for():
    tier = Tier(bytes_per_s=1e9, efficiency=1.0, latency_s=0.0)
    sources = {f"tiers.nvlnk.{name}": HAND for name in ("bytes_per_s", "efficiency", "latency_s")}
    profile = replace(H800, tiers={"nvlnk": tier, "nic": H800.tiers["nic"]}, provenance={**H800.provenance, **sources})
    assert lines(profile) == [
        "tiers.nvlnk: got 'nvlnk'; allowed nic, nvlink; did you mean 'nvlink'?",
        "tiers.nvlink: got nothing; allowed a value; add [tiers.nvlink]",
    ]


def test_an_unknown_precision_names_the_nearest():
    profile = with_device(peak_flops_per_s={**H800.device.peak_flops_per_s, "bf61": 1e15})
    profile = replace(profile, provenance={**H800.provenance, "device.peak_flops_per_s.bf61": HAND})
    assert lines(profile) == [
        "device.peak_flops_per_s.bf61: got 'bf61'; allowed bf16, fp16, fp32, fp4, fp8, int8, tf32; did you mean 'bf16'?"
    ]


def test_bf16_attention_cannot_be_left_out():
    assert lines(with_efficiency(attention_decode={})) == [
        "efficiency.attention_decode.bf16: got nothing; allowed a value; add the figure for bf16"
    ]


def test_an_efficiency_needs_its_peak():
    profile = with_efficiency(gemm={**H800.efficiency.gemm, "fp4": 0.5})
    profile = replace(profile, provenance={**H800.provenance, "efficiency.gemm.fp4": HAND})
    assert lines(profile) == [
        "efficiency.gemm.fp4: got a share of a peak that is not there; "
        "allowed precisions of device.peak_flops_per_s: bf16, fp8; add device.peak_flops_per_s.fp4 or delete this line"
    ]


def test_a_peak_needs_its_efficiencies():
    assert lines(with_efficiency(grouped_gemm={"bf16": 0.76})) == [
        "efficiency.grouped_gemm.fp8: got nothing; allowed a value; add the share of its peak, or delete the peak"
    ]


def test_a_fabric_holds_at_least_one_node():
    assert lines(with_fabric(max_devices=4)) == [
        "fabric.max_devices: got 4; allowed 8 (one node) or more; count devices, not nodes or switches"
    ]


def test_a_single_node_fabric_is_one_node():
    assert lines(with_fabric(kind="single_node", max_devices=16)) == [
        "fabric.max_devices: got 16; allowed 8; count devices, not nodes or switches"
    ]


def test_kernels_hold_no_more_sms_than_there_are():
    assert lines(with_all_to_all(low_latency_sms=133)) == [
        "all_to_all.low_latency_sms: got 133; allowed 0 to device.n_sms = 132; give the SMs that one kernel holds"
    ]
