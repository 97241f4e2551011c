"""The machines that ship: each number has a source, and the figures that others rely on are what they must be."""

from math import inf
from pathlib import Path
from typing import get_args

import pytest

from hw_profiles import loader
from hw_profiles.checks import numbers_of
from hw_profiles.loader import list_profiles, load_profile
from hw_profiles.schema import Source

MACHINES = [
    "a100_sxm",
    "a30_pcie",
    "a800_nvlink",
    "b200_sxm",
    "b300_sxm",
    "cpu_core",
    "gb200_nvl72",
    "gb300_nvl72",
    "h100_sxm",
    "h20",
    "h200_efa",
    "h200_sxm",
    "h800_sxm",
    "longcat_report_theory",
    "mi300x",
    "rtx_pro_6000",
]
DATA = Path(loader.__file__).parent / "data"


def test_the_machines_are_listed_by_name():
    assert list_profiles() == MACHINES


@pytest.mark.parametrize("name", MACHINES)
def test_every_number_has_a_known_source_and_a_reference(name):
    profile = load_profile(name)
    for path, _ in numbers_of(profile):
        assert profile.provenance[path].source in get_args(Source)
        assert profile.provenance[path].reference.strip()


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_is_called_as_its_directory(name):
    assert load_profile(name).name == name


@pytest.mark.parametrize("name", MACHINES)
def test_a_file_names_no_source_that_it_does_not_use(name):
    text = (DATA / name / "profile.toml").read_text(encoding="utf-8")
    named = {line.removeprefix("[sources.").rstrip("]") for line in text.splitlines() if line.startswith("[sources.")}
    assert [source for source in sorted(named) if f'from = "{source}"' not in text] == []


def test_a100_has_no_fp8():
    a100 = load_profile("a100_sxm")
    assert "fp8" not in a100.device.peak_flops_per_s
    assert "fp8" not in a100.efficiency.gemm


@pytest.mark.parametrize(
    ("name", "nic_bytes_per_s"),
    [
        ("h800_sxm", 50e9),
        ("h100_sxm", 50e9),
        ("h20", 25e9),
        ("a100_sxm", 25e9),
        ("gb200_nvl72", 50e9),
        ("mi300x", 50e9),
    ],
)
def test_each_gpu_has_its_share_of_the_nics(name, nic_bytes_per_s):
    assert load_profile(name).tiers["nic"].bytes_per_s == nic_bytes_per_s


def test_an_nvl72_is_one_node_of_72():
    assert load_profile("gb200_nvl72").node.n_devices == 72


def test_without_nvlink_the_links_inside_the_node_are_pcie():
    assert load_profile("rtx_pro_6000").tiers["nvlink"].bytes_per_s == 64e9


# TensorRT-LLM tech blog 18, one-sided all-to-all on GB200 NVL72, BF16, hidden 7168, top-8: (EP, tokens, dispatch,
# combine in microseconds).
GB200_ROWS = [(8, 2048, 311.8, 322.6), (16, 1024, 181.2, 188.2), (32, 1024, 197.5, 197.5), (64, 2048, 399.2, 372.1)]


@pytest.mark.parametrize(("ep", "tokens", "dispatch_us", "combine_us"), GB200_ROWS)
def test_the_nvl72_moves_the_published_all_to_all_in_the_published_time(ep, tokens, dispatch_us, combine_us):
    link = load_profile("gb200_nvl72").tiers["nvlink"]
    n_bytes = 8 * (1 - 1 / ep) * tokens * 7168 * 2
    predicted_us = 1e6 * (link.latency_s + n_bytes / (link.bytes_per_s * link.efficiency))
    # One rate and one latency for EP8 to EP64: the published times per byte differ among themselves by a tenth.
    assert predicted_us == pytest.approx((dispatch_us + combine_us) / 2, rel=0.12)


def test_the_report_attention_runs_at_660_tflops():
    report = load_profile("longcat_report_theory")
    for shares in (report.efficiency.attention_decode, report.efficiency.attention_prefill):
        assert shares["bf16"] * report.device.peak_flops_per_s["bf16"] == pytest.approx(660e12, rel=1e-15)


def test_the_report_knows_no_latency_and_no_cost_inside_a_node():
    report = load_profile("longcat_report_theory")
    assert (report.tiers["nvlink"].bytes_per_s, report.tiers["nvlink"].latency_s) == (inf, 0.0)
    assert (report.tiers["nic"].bytes_per_s, report.tiers["nic"].latency_s) == (40e9, 0.0)
    assert (report.launch.graph_gap_s, report.launch.eager_gap_s) == (0.0, 0.0)
    assert report.efficiency.hidden_weight_reads == ["router", "experts", "shared_experts"]


# DeepEP README @ebfe47e, low-latency kernels on H800: 128 tokens, hidden 7168, top-8, microseconds.
DISPATCH_BYTES = 8 * 128 * (7168 + 224 + 16)
COMBINE_BYTES = 8 * 128 * 7168 * 2
ROWS = [(32, 182, 350), (64, 186, 353), (128, 192, 369), (256, 194, 360)]


@pytest.mark.parametrize(("ep", "dispatch_us", "combine_us"), ROWS)
def test_the_h800_nic_moves_the_published_all_to_all_in_the_published_time(ep, dispatch_us, combine_us):
    nic = load_profile("h800_sxm").tiers["nic"]
    for n_bytes, published_us in ((DISPATCH_BYTES, dispatch_us), (COMBINE_BYTES, combine_us)):
        predicted_us = 1e6 * (nic.latency_s + n_bytes / (nic.bytes_per_s * nic.efficiency))
        # Two parameters for eight rows that rise with EP: the spread of the rows themselves.
        assert predicted_us == pytest.approx(published_us, rel=0.04)
