"""A machine is a TOML directory: what is read, and what each mistake in it says."""

from math import inf
from pathlib import Path

import pytest

from hw_profiles.faults import InputFaults
from hw_profiles.loader import list_profiles, load_curves, load_profile
from hw_profiles.schema import (
    AllToAll,
    Device,
    Efficiency,
    Fabric,
    HardwareProfile,
    Launch,
    Node,
    Provenance,
    Tier,
)

TOY = (Path(__file__).parent / "toy" / "profile.toml").read_text(encoding="utf-8")
HAND = Provenance(source="assumed", reference="a machine to count on one hand")
ALL_BF16 = {"bf16": 1.0}
MACHINES = (
    "a100_sxm, a30_pcie, a800_nvlink, b200_sxm, b300_sxm, cpu_core, gb200_nvl72, gb300_nvl72, h100_sxm, h20, "
    "h200_efa, h200_sxm, h800_sxm, longcat_report_theory, mi300x, rtx_pro_6000"
)


def write(directory: Path, text: str) -> str:
    (directory / "profile.toml").write_text(text, encoding="utf-8")
    return str(directory)


def complaint(name_or_path: str) -> str:
    with pytest.raises(InputFaults) as caught:
        load_profile(name_or_path)
    return str(caught.value)


def edited(old: str, new: str) -> str:
    assert TOY.count(old) == 1, f"{old!r} must stand once in the toy"
    return TOY.replace(old, new)


def test_a_file_becomes_the_profile_that_it_describes(tmp_path):
    profile = load_profile(write(tmp_path, TOY))
    expected = HardwareProfile(
        name="toy",
        title="A toy",
        device=Device(
            name="toy device",
            n_sms=10,
            hbm_bytes=1e9,
            hbm_bytes_per_s=1e9,
            usable_hbm_share=1.0,
            l2_bytes=1e6,
            l2_bytes_per_s=inf,
            power_w=100.0,
            usd_per_hour=1.0,
            peak_flops_per_s={"bf16": 1e12},
        ),
        node=Node(n_devices=2),
        tiers={
            "nvlink": Tier(bytes_per_s=1e9, efficiency=1.0, latency_s=1e-6),
            "nic": Tier(bytes_per_s=1e8, efficiency=0.5, latency_s=0.0),
        },
        fabric=Fabric(kind="fat_tree", oversubscription=1.0, max_devices=4),
        efficiency=Efficiency(
            gemm=ALL_BF16, grouped_gemm=ALL_BF16, attention_decode=ALL_BF16, attention_prefill=ALL_BF16, hbm=1.0
        ),
        launch=Launch(graph_gap_s=0.0, eager_gap_s=0.0),
        all_to_all=AllToAll(
            low_latency_tiers="nic", counts_local_copies=False, hooked=True, low_latency_sms=2, normal_sms=2
        ),
        provenance=profile.provenance,
    )
    assert profile == expected


def test_each_number_points_to_its_document_and_a_note_says_the_rest(tmp_path):
    provenance = load_profile(write(tmp_path, TOY)).provenance
    assert provenance["device.peak_flops_per_s.bf16"] == HAND
    assert provenance["device.usd_per_hour"] == Provenance(
        source="assumed", reference="a machine to count on one hand: one dollar"
    )


def test_words_may_have_a_source_too(tmp_path):
    text = edited('low_latency_tiers = "nic"', 'low_latency_tiers = { value = "nic", from = "hand" }')
    profile = load_profile(write(tmp_path, text))
    assert profile.all_to_all.low_latency_tiers == "nic"
    assert profile.provenance["all_to_all.low_latency_tiers"] == HAND


def test_a_user_directory_and_the_file_in_it_are_the_same_machine(tmp_path):
    directory = write(tmp_path, TOY)
    assert load_profile(directory) == load_profile(f"{directory}/profile.toml")


def test_a_shipped_name_wins_over_a_directory_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "h20").mkdir()
    write(tmp_path / "h20", TOY)
    monkeypatch.chdir(tmp_path)
    assert load_profile("h20").name == "h20"
    assert load_profile("./h20/profile.toml").name == "toy"


def test_an_unknown_machine_names_the_nearest_and_lists_all():
    assert complaint("h80_sxm") == f"machine: got 'h80_sxm'; allowed {MACHINES}; did you mean 'h800_sxm'?"
    assert ", ".join(list_profiles()) == MACHINES


@pytest.mark.parametrize("name", ["x" * 5000, "~nobody-of-that-name/machine", "a\0b"])
def test_what_cannot_be_a_path_is_no_machine(name):
    assert complaint(name).startswith("machine: got ")


def test_a_missing_file_is_named(tmp_path):
    directory = str(tmp_path / "nowhere")
    assert complaint(directory) == (
        f"machine: got {directory!r}, where no file {directory} is; allowed a directory with a profile.toml, "
        f"the path of that file, or one of {MACHINES}; check the path"
    )


def test_a_directory_without_a_profile_is_named(tmp_path):
    assert f"where no file {tmp_path}/profile.toml is" in complaint(str(tmp_path))


def test_malformed_toml_is_placed(tmp_path):
    directory = write(tmp_path, "name = \n")
    assert complaint(directory) == (
        f"{directory}/profile.toml: got Invalid value (at line 1, column 8); allowed valid TOML; "
        "mend the line that is named"
    )


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "profile.toml").write_bytes(b'name = "\xff"')
    assert complaint(str(tmp_path)).endswith("allowed TOML in UTF-8; save the file as UTF-8")


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(*_args: object, **_kwargs: object) -> str:
        raise PermissionError(13, "Permission denied")

    directory = write(tmp_path, TOY)
    monkeypatch.setattr(Path, "read_text", refuse)
    assert complaint(directory) == (
        f"{directory}/profile.toml: got Permission denied; allowed a readable file; check its permissions"
    )


SHAPE_FAULTS = {
    "a number without a source": (
        'n_devices = { value = 2, from = "hand" }',
        "n_devices = 2",
        'node.n_devices: got 2 without a source; allowed { value = NUMBER, from = "NAME" }; '
        "say in [sources.NAME] where the number comes from",
    ),
    "a source that is not there": (
        'n_devices = { value = 2, from = "hand" }',
        'n_devices = { value = 2, from = "hant" }',
        "node.n_devices.from: got 'hant'; allowed hand; did you mean 'hand'?",
    ),
    "a value key that is unknown": (
        'n_devices = { value = 2, from = "hand" }',
        'n_devices = { value = 2, from = "hand", nota = "x" }',
        "node.n_devices.nota: got 'nota'; allowed from, note, value; did you mean 'note'?",
    ),
    "an unknown source word": (
        'source = "assumed"',
        'source = "guessed"',
        "sources.hand.source: got 'guessed'; allowed assumed, datasheet, fitted, measured, published; "
        "use one of the allowed words",
    ),
    "an empty reference": (
        'reference = "a machine to count on one hand"',
        'reference = " "',
        "sources.hand.reference: got ' '; allowed a text that is not empty; "
        "name the document and the place in it, or the reasoning if it is assumed",
    ),
    "an unknown source key": (
        'source = "assumed"',
        'source = "assumed"\nreferense = "x"',
        "sources.hand.referense: got 'referense'; allowed reference, source; did you mean 'reference'?",
    ),
    "a missing key": ("hooked = true\n", "", "all_to_all.hooked: got nothing; allowed a value; add hooked to the file"),
    "an unknown key": (
        "hooked = true",
        "hooked = true\nhoked = true",
        "all_to_all.hoked: got 'hoked'; allowed counts_local_copies, hooked, low_latency_sms, low_latency_tiers, "
        "message_s, normal_sms; did you mean 'hooked'?",
    ),
    "an unknown key of a link tier": (
        "[tiers.nic]",
        '[tiers.nic]\nlatency = { value = 0.0, from = "hand" }',
        "tiers.nic.latency: got 'latency'; allowed bytes_per_s, efficiency, latency_s; did you mean 'latency_s'?",
    ),
    "an unknown table": (
        "[node]",
        "[nodes]\n[node]",
        "nodes: got 'nodes'; allowed all_to_all, curves_of, device, efficiency, fabric, launch, name, node, sources, "
        "tiers, title; did you mean 'node'?",
    ),
    "provenance written by hand": (
        "[node]",
        "[provenance]\n[node]",
        "provenance: got 'provenance'; allowed all_to_all, curves_of, device, efficiency, fabric, launch, name, node, "
        "sources, tiers, title; use one of the allowed words",
    ),
    "an unknown fabric": (
        'kind = "fat_tree"',
        'kind = "fat_tee"',
        "fabric.kind: got 'fat_tee'; allowed 'single_node', 'rail_fat_tree' or 'fat_tree'; did you mean 'fat_tree'?",
    ),
    "a fraction for a count": (
        "n_devices = { value = 2, from",
        "n_devices = { value = 2.5, from",
        "node.n_devices: got 2.5; allowed a whole number; write a whole number",
    ),
    "a text for a number": (
        "power_w = { value = 100,",
        'power_w = { value = "100",',
        "device.power_w: got '100'; allowed a number; write a number",
    ),
    "a number for a switch": (
        "hooked = true",
        'hooked = "yes"',
        "all_to_all.hooked: got 'yes'; allowed true or false; write true or false",
    ),
}


@pytest.mark.parametrize(("old", "new", "line"), SHAPE_FAULTS.values(), ids=SHAPE_FAULTS.keys())
def test_a_wrong_shape_says_what_to_do(tmp_path, old, new, line):
    assert complaint(write(tmp_path, edited(old, new))) == line


def test_a_sourced_value_without_a_value_is_named(tmp_path):
    text = edited("power_w = { value = 100, from", "power_w = { from")
    assert "device.power_w.value: got nothing; allowed a value; add value = …" in complaint(write(tmp_path, text))


@pytest.mark.parametrize("table", ["sources = 1\n", "sources.hand = 1\n"])
def test_sources_must_be_tables(tmp_path, table):
    text = table + TOY.replace('[sources.hand]\nsource = "assumed"\nreference = "a machine to count on one hand"\n', "")
    assert complaint(write(tmp_path, text)).startswith(f"{table.split(' ')[0]}: got 1; allowed ")


def test_all_faults_of_shape_come_together(tmp_path):
    text = edited("hooked = true\n", "").replace('kind = "fat_tree"', 'kind = "ring"')
    text = text.replace('n_devices = { value = 2, from = "hand" }', "n_devices = 2")
    assert [line.split(":")[0] for line in complaint(write(tmp_path, text)).splitlines()] == [
        "node.n_devices",
        "fabric.kind",
        "all_to_all.hooked",
    ]


def test_all_faults_of_sense_come_together(tmp_path):
    text = edited("oversubscription = { value = 1.0", "oversubscription = { value = 0.5")
    text = text.replace("power_w = { value = 100", "power_w = { value = -100")
    assert complaint(write(tmp_path, text)).splitlines() == [
        "device.power_w: got -100; allowed 1 to 100000; write watts",
        "fabric.oversubscription: got 0.5; allowed 1 to 1000; write downlink over uplink capacity",
    ]


def test_a_machine_has_the_kernels_of_the_same_device_and_none_of_its_network():
    lent, own = load_curves("h200_efa"), load_curves("h200_sxm")
    families = {family for family, _ in lent}
    assert lent["gemm", "fp8_block"] == own["gemm", "fp8_block"]
    assert families == {family for family, _ in own} - {
        "deepep_low_latency",
        "deepep_normal",
        "moe_a2a_ep8",
        "interference",
    }


def test_curves_of_an_unknown_machine_are_a_fault(tmp_path):
    path = write(tmp_path, 'curves_of = "h2000"\n' + TOY)
    with pytest.raises(InputFaults, match="curves_of: got 'h2000'"):
        load_curves(path)
