"""The command that shows machines: the list of them, or one with its figures, their sources and its fabric."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hw_profiles.loader import list_profiles, load_profile
from hw_profiles.schema import HardwareProfile
from hw_profiles.topology import Topology, bisection_bytes_per_s, build_topology, shared_links
from simulator.console import (
    JsonOption,
    ReportOption,
    Resolve,
    check_writable,
    err,
    faults_to_exit_code,
    out,
    print_json,
    writing,
)
from simulator.report.formats import number_text, quantity_text
from simulator.report.machine_tables import figures_table

_DRAWN_NODES = 4  # a machine without --gpus: enough to see how nodes are joined

NameArgument = Annotated[str | None, typer.Argument(metavar="[NAME]", help="A machine's name, or its directory.")]
GpusOption = Annotated[
    int | None, typer.Option("--gpus", metavar="N", help="GPUs in the fabric (default: four nodes).")
]


def machines(
    context: typer.Context,
    name: NameArgument = None,
    gpus: GpusOption = None,
    as_json: JsonOption = False,
    report: ReportOption = None,
) -> None:
    """List the machines that longsim knows, or show one: its figures with their sources, and its fabric."""
    with faults_to_exit_code():
        if name is not None:
            _show(context.obj, load_profile(name), gpus=gpus, as_json=as_json, report=report)
        elif gpus is not None or report is not None:
            raise ValueError("--gpus, --report: got no machine; allowed with a name; write longsim machines NAME")
        else:
            _list(as_json)


def _list(as_json: bool) -> None:
    profiles = [load_profile(name) for name in list_profiles()]
    if as_json:
        print_json({"machines": [_row(profile) for profile in profiles]})
        return
    table = Table("machine", "title", "BF16 TFLOP/s", "HBM GB", "HBM TB/s", "GPUs/node", "in node | NIC GB/s", "$/h")
    for p in profiles:
        links = " | ".join(number_text(tier.bytes_per_s / 1e9) for tier in p.tiers.values())
        table.add_row(
            p.name, p.title, number_text(p.device.peak_flops_per_s["bf16"] / 1e12), f"{p.device.hbm_bytes / 1e9:.0f}",
            number_text(p.device.hbm_bytes_per_s / 1e12), str(p.node.n_devices), links, f"{p.device.usd_per_hour:g}",
        )  # fmt: skip
    out.print(table)


def _row(profile: HardwareProfile) -> dict[str, Any]:
    return {
        "name": profile.name,
        "title": profile.title,
        "peak_flops_per_s": dict(profile.device.peak_flops_per_s),
        "hbm_bytes": profile.device.hbm_bytes,
        "hbm_bytes_per_s": profile.device.hbm_bytes_per_s,
        "devices_per_node": profile.node.n_devices,
        "link_bytes_per_s": {tier: t.bytes_per_s for tier, t in profile.tiers.items()},
        "usd_per_hour": profile.device.usd_per_hour,
    }


def _show(resolve: Resolve, profile: HardwareProfile, *, gpus: int | None, as_json: bool, report: Path | None) -> None:
    check_writable({"--report": report})
    n_devices = min(_DRAWN_NODES * profile.node.n_devices, profile.fabric.max_devices) if gpus is None else gpus
    topology = build_topology(profile, n_devices)
    if report is not None:
        with writing("--report", report):
            resolve("write_machine_page")(profile, report, n_devices=n_devices)
        err.print(f"report: {report}", markup=False)
    if as_json:
        figures = figures_table(profile).drop(columns="text").to_dict("records")
        print_json({**_row(profile), "fabric": _fabric(profile, topology, n_devices), "figures": figures})
    else:
        _print(profile, topology, n_devices)


def _fabric(profile: HardwareProfile, topology: Topology, n_devices: int) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for vertex in topology:
        kind = str(topology.nodes[vertex]["kind"])
        counts[kind] = counts.get(kind, 0) + 1
    return {
        "n_devices": n_devices,
        "counts": counts,
        "bisection_bytes_per_s": bisection_bytes_per_s(topology),
        "shared_links": [asdict(link) for link in shared_links(profile, n_devices).links],
    }


def _print(profile: HardwareProfile, topology: Topology, n_devices: int) -> None:
    fabric = _fabric(profile, topology, n_devices)
    out.print(f"{profile.name}: {profile.title}", markup=False)
    parts = ", ".join(f"{number} {kind}" for kind, number in fabric["counts"].items())
    rate = quantity_text(fabric["bisection_bytes_per_s"], "B/s")
    out.print(f"{n_devices} GPUs: {parts}; one half sends the other {rate}", markup=False)
    table = Table("figure", "value", "source", "where it stands")
    for row in figures_table(profile).itertuples(index=False):
        table.add_row(str(row.figure), str(row.text), str(row.source), str(row.reference))
    out.print(table)
