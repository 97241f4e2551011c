"""The command that brings measurements in: import."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hw_profiles.faults import Fault, InputFaults, unknown_word
from simulator.console import ANSWERED, JsonOption, ReportOption, err, faults_to_exit_code, out, print_json, writing
from validation.cli.kernel_tables import KIND as KERNEL_TABLE
from validation.cli.kernel_tables import import_tables, show_tables
from validation.cli.shown import percent
from validation.cli.traces import TraceImport, import_trace, show_trace
from validation.importers.aiconfigurator import import_package
from validation.importers.measured_tables import bound_shares, file_source, import_a2a, import_csv
from validation.importers.user_profile import Imported, change_of, known_machine, write_user_profile

KINDS = ("aiconfigurator", "a2a", "csv", KERNEL_TABLE, "trace")
DEFAULT_SYSTEM = "h200_sxm"
MACHINE_OF = {"gb200": "gb200_nvl72", "rtx_pro_6000_server": "rtx_pro_6000"}  # their names of systems to ours
Reader = Callable[[Path, str], list[Imported]]


def import_(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=" | ".join(KINDS))],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="The measurements (a2a, csv; kernel-table: their folder); a trace per rank (trace).",
        ),
    ] = None,
    system: Annotated[str, typer.Option("--system", metavar="NAME", help="System of aiconfigurator.")] = "",
    backend: Annotated[str, typer.Option("--backend", metavar="NAME", help="Backend that comes first.")] = "",
    machine: Annotated[str, typer.Option("--machine", metavar="NAME", help="Machine that was measured.")] = "",
    out_path: Annotated[
        Path | None,
        typer.Option("--out", metavar="PATH", help="Profile directory of yours; trace: the timeline as FILE.csv."),
    ] = None,
    report: ReportOption = None,
    beside: Annotated[str, typer.Option("--beside", metavar="SCENARIO", help="trace: simulate it beside.")] = "",
    step: Annotated[int | None, typer.Option("--step", metavar="N", help="trace: one ProfilerStep alone.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fit measurements into a profile directory that a scenario takes as machine = "DIR"; or read profiler traces."""
    with faults_to_exit_code():
        if kind not in KINDS:
            raise InputFaults([unknown_word("KIND", kind, KINDS)])
        _check_options(kind, {"--system": system, "--backend": backend, "--machine": machine},
                       {"--report": report, "--beside": beside, "--step": step})  # fmt: skip
        if kind == "trace":
            asked = TraceImport(files=files or [], report=report, beside=beside, out=out_path, step=step)
            document, show = import_trace(asked), show_trace
        elif kind == KERNEL_TABLE:
            document, show = import_tables(files or [], machine, out_path), show_tables
        else:
            document, show = _profile(kind, files or [], system, machine, backend, out_path), _show
        if as_json:
            print_json(document)
        else:
            show(document)
    raise typer.Exit(ANSWERED)


def _check_options(kind: str, of_profiles: Mapping[str, object], of_traces: Mapping[str, object]) -> None:
    strange = dict(of_profiles if kind == "trace" else of_traces)
    if kind == KERNEL_TABLE:
        strange |= {option: value for option, value in of_profiles.items() if option != "--machine"}
    faults = [
        Fault(field=option, got=str(value), allowed=f"nothing with {kind}", remedy="leave it out")
        for option, value in strange.items()
        if value not in {None, ""}
    ]
    if faults:
        raise InputFaults(faults)


def _profile(
    kind: str, files: Sequence[Path], system: str, machine: str, backend: str, out_dir: Path | None
) -> dict[str, Any]:
    if out_dir is None:
        raise InputFaults([_needed("--out", "a directory of yours")])
    if len(files) > 1:
        got = ", ".join(map(str, files))
        raise InputFaults([Fault(field="FILE", got=got, allowed="one file", remedy="import them one after another")])
    if kind == "aiconfigurator":
        return _package(system or DEFAULT_SYSTEM, machine, backend, out_dir)
    return _measured(kind, files[0] if files else None, machine, out_dir)


def _needed(field: str, allowed: str) -> Fault:
    return Fault(field=field, got="nothing", allowed=allowed, remedy="say which")


def _package(system: str, machine: str, backend: str, out_dir: Path) -> dict[str, Any]:
    name = known_machine(machine or MACHINE_OF.get(system, system))
    err.print("reading and fitting; this takes about a minute …")
    package = import_package(system, name, backend=backend)
    return _written(name, package.imported, package.sources, out_dir) | {"skipped": list(package.skipped)}


def _measured(kind: str, file: Path | None, machine: str, out_dir: Path) -> dict[str, Any]:
    faults = [_needed("FILE", "a CSV file")] if file is None else []
    faults += [] if machine else [_needed("--machine", "the machine that was measured")]
    if file is not None and not file.is_file():
        faults.append(Fault(field="FILE", got=f"{str(file)!r}, where no file is", allowed="a CSV file",
                            remedy="check the path"))  # fmt: skip
    if faults or file is None:
        raise InputFaults(faults)
    name = known_machine(machine)
    read: Mapping[str, Reader] = {"a2a": import_a2a, "csv": import_csv}
    imported = read[kind](file, name)
    document = _written(name, imported, file_source(file), out_dir) | {"skipped": []}
    if kind == "a2a":
        document["bounds"] = [row for item in imported for row in bound_shares(item)]
    return document


def _written(machine: str, imported: Sequence[Imported], sources: Mapping[str, str], out_dir: Path) -> dict[str, Any]:
    changes = [change_of(item) for item in imported]
    with writing("--out", out_dir):
        write_user_profile(machine, imported, sources, out_dir)
    return {"profile": str(out_dir), "machine": machine, "sources": dict(sources), "changes": changes}


def _show(document: Mapping[str, Any]) -> None:
    table = Table("family")
    table.add_column("group", overflow="fold")
    for name in ("engine", "rows fitted", "of", "error of the shipped curve", "error now", "refused"):
        table.add_column(name, justify="left" if name == "engine" else "right")
    for row in document["changes"]:
        engine = f"{row['engine']} {row['version']}"
        errors = [percent(row[name]) for name in ("median_before", "median_after")]
        rows = [str(row[name]) for name in ("rows", "rows_available")]
        table.add_row(row["family"], row["group"], engine, *rows, *errors, str(sum(row["refused"].values())))
    out.print(table)
    for row in document["changes"]:
        for text in row["refused_rows"]:
            out.print(f"refused: {row['family']} {row['group']}: {text}", markup=False)
    for line in document["skipped"]:
        out.print(f"left aside: {line}", markup=False)
    for row in document.get("bounds", []):
        out.print(
            f"{row['phase']}, {row['tokens_per_rank']} tokens, EP{row['ep']}: "
            f"measured {row['measured_s'] * 1e6:.1f} µs, "
            f"shipped curve {row['shipped_s'] * 1e6:.1f} µs, now {row['fitted_s'] * 1e6:.1f} µs; "
            f"{percent(row['share_of_bound'])} of the {row['tier']} bound", markup=False,
        )  # fmt: skip
    out.print(f'written: {document["profile"]}; use it as machine = "{document["profile"]}"', markup=False)
