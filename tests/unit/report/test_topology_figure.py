"""The drawing of a fabric: nothing is lost where what repeats is drawn once."""

from dataclasses import replace

import pytest

from hw_profiles.loader import load_profile
from hw_profiles.topology import build_topology
from simulator.report.topology_drawing import drawing_of
from simulator.report.topology_figure import topology_figure

H800 = load_profile("h800_sxm")
THREE_LAYERS = replace(H800, fabric=replace(H800.fabric, n_layers=3, ports_per_switch=16))


def shown(drawing):
    kinds = dict.fromkeys(mark.kind for mark in drawing.marks)
    return {kind: [mark.label for mark in drawing.marks if mark.kind == kind] for kind in kinds}


def test_a_small_fabric_is_drawn_vertex_by_vertex():
    topology = build_topology(H800, 32)
    drawing = drawing_of(topology)
    assert len(drawing.marks) == len(topology)
    assert 2 * len(drawing.lines) == topology.number_of_edges()  # a line stands for both directions


def test_of_many_devices_a_node_is_one_box():
    assert shown(drawing_of(build_topology(H800, 72)))["node"][:2] == ["node 0<br>8 GPUs", "node 1<br>8 GPUs"]


def test_of_many_nodes_those_on_the_same_leaves_are_one_box():
    drawing = drawing_of(build_topology(H800, 2048))
    assert shown(drawing) == {
        "node": ["32 nodes<br>of 8 GPUs"] * 8, "leaf": ["8 leaves"] * 8, "spine": ["32 spines"],
    }  # fmt: skip


def test_two_nvl72_are_two_boxes_under_their_leaves():
    drawing = drawing_of(build_topology(load_profile("gb200_nvl72"), 144))
    assert shown(drawing)["node"] == ["node 0<br>72 GPUs", "node 1<br>72 GPUs"]
    assert shown(drawing)["leaf"] == ["72 leaves"]


@pytest.mark.parametrize(("profile", "n"), [(H800, 72), (H800, 2048), (THREE_LAYERS, 256), (THREE_LAYERS, 1024)])
@pytest.mark.parametrize("tier", ["spine", "core"])
def test_lines_carry_together_what_the_links_carry(profile, n, tier):
    topology = build_topology(profile, n)
    links = [link["bytes_per_s"] for _, _, link in topology.edges(data=True) if link["tier"] == tier]
    drawn = sum(line.bytes_per_s for line in drawing_of(topology).lines if line.tier == tier)
    assert drawn == pytest.approx(sum(links) / 2)


def test_layers_stand_one_above_the_other_from_the_devices_up():
    axis = topology_figure(build_topology(load_profile("a30_pcie"), 8)).layout.yaxis
    assert list(axis.ticktext) == ["GPUs × 8", "PCIe bridges × 2", "CPU sockets × 2"]
    assert list(axis.tickvals) == [0, 1, 2]


def test_the_wider_a_line_the_higher_its_rate():
    lines = [trace for trace in topology_figure(build_topology(H800, 16)).data if trace.mode == "lines"]
    width = {trace.legendgroup: trace.line.width for trace in lines}
    assert width["nic"] < width["nvlink"] < width["spine"]  # 42, 156 and 335 GB/s
