"""`longsim import kernel-table`: kernel times of a serving backend's layers into a profile of one's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from hw_profiles.faults import Fault, InputFaults
from simulator.console import out, writing
from validation.importers.user_profile import known_machine
from validation.serving.tables_store import import_kernel_tables

KIND = "kernel-table"


def import_tables(folders: Sequence[Path], machine: str, out_dir: Path | None) -> dict[str, Any]:
    """Check and copy the tables of one folder; InputFaults for every option that is missing or wrong."""
    faults = [
        Fault(field=field, got="nothing", allowed=allowed, remedy="say which")
        for field, allowed, value in (("--out", "a directory of yours", out_dir),
                                      ("--machine", "the machine that was measured", machine))
        if not value
    ]  # fmt: skip
    if len(folders) != 1 or not folders[0].is_dir():
        faults.append(Fault(field="FILE", got=", ".join(map(repr, map(str, folders))) or "nothing",
                            allowed="one folder of kernel tables", remedy="name the folder"))  # fmt: skip
    if faults or out_dir is None:
        raise InputFaults(faults)
    name = known_machine(machine)
    with writing("--out", out_dir):
        return import_kernel_tables(folders[0], name, out_dir)


def show_tables(document: Mapping[str, Any]) -> None:
    """Print what was brought in, a line per degree."""
    table = Table("model", "GPU")
    for name in ("tensor parallel", "layers", "up to tokens", "chunk sizes"):
        table.add_column(name, justify="right")
    table.add_column("experts")
    for row in document["tables"]:
        numbers = [str(row[name]) for name in ("degree", "layers", "tokens", "chunks")]
        table.add_row(row["model"], row["gpu"], *numbers, "yes" if row["experts"] else "no")
    out.print(table)
    out.print(f"written: {document['profile']}; use it with validate serving --profile {document['profile']}",
              markup=False)  # fmt: skip
