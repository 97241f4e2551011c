"""The page of one machine: its fabric drawn, its figures with their sources."""

from pathlib import Path

from hw_profiles.schema import HardwareProfile
from hw_profiles.topology import build_topology
from simulator.report.document import write_document
from simulator.report.machine_tables import figures_table
from simulator.report.markup import paragraph, plot, section, table
from simulator.report.topology_figure import topology_figure

_CAPTION = (
    "GPUs at the bottom, switches above. Colours are tiers; the wider a line, the higher the rate of its payload, "
    "one direction. What repeats in a large fabric is drawn once, with its number."
)


def write_machine_page(profile: HardwareProfile, path: str | Path, *, n_devices: int) -> None:
    """Write the page of a machine with `n_devices` to `path`, whole or not at all. Raises OSError where it cannot be
    written, InputFaults if the fabric has fewer devices."""
    headings = {"figure": "figure", "text": "value", "source": "source", "reference": "where it stands"}
    write_document(
        path,
        title=f"{profile.name}, {n_devices} GPUs",
        parts=[
            paragraph(profile.title),
            section("Fabric", plot(topology_figure(build_topology(profile, n_devices)), caption=_CAPTION, tools=True)),
            section("Figures", table(figures_table(profile), headings, numeric=["text"])),
        ],
    )
