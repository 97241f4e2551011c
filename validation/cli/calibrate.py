"""The command that fits: calibrate, on the published tables or on a folder of own measurements."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hw_profiles.faults import Fault, InputFaults
from simulator.console import ANSWERED, MISSED_BAR, JsonOption, err, faults_to_exit_code, out, print_json, writing
from simulator.report.residuals import write_residuals
from validation.calibrate import PROFILES_DIR, fit_all
from validation.calibrate_own import RESIDUALS_FILE, OwnCalibration, calibrate_own, residuals_of_own
from validation.cli.shown import percent
from validation.fitted_files import write_fitted
from validation.kernels import read_fitted
from validation.known_tables import default_data
from validation.reproduction import unreproduced
from validation.table_checks import check_tables

DIFFERENCES_SHOWN = 20


def calibrate(
    measured: Annotated[
        Path | None, typer.Argument(metavar="[MEASURED]", help="Folder that `longsim measure` wrote.")
    ] = None,
    machine: Annotated[
        str, typer.Option("--machine", metavar="NAME", help="Datasheet of the machine that was measured (MEASURED).")
    ] = "",
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Directory of the published tables.")
    ] = None,
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Profile directory (MEASURED); else MACHINE/fitted.json."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare with the shipped fits; exit code 1 if different.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fit curves: with MEASURED a profile of your own machine, else every machine's on the published tables.

    Nothing is written unless all of it is sound.
    """
    with faults_to_exit_code():
        if measured is not None:
            _refuse_mixed(machine, data, out_dir, check=check)
            _calibrate_own(measured, machine, out_dir or Path(), as_json=as_json)
            raise typer.Exit(ANSWERED)
        if machine:
            raise InputFaults([_fault("--machine", machine, "nothing without MEASURED", "name the folder as well")])
        found = _calibrate_published(data or default_data(), out_dir, check=check, as_json=as_json)
    raise typer.Exit(MISSED_BAR if found else ANSWERED)


def _refuse_mixed(machine: str, data: Path | None, out_dir: Path | None, *, check: bool) -> None:
    faults = []
    if not machine:
        faults.append(_fault("--machine", "nothing", "the machine that was measured", "see `longsim machines`"))
    if out_dir is None:
        faults.append(_fault("--out", "nothing", "a directory", "say where the profile goes"))
    if data is not None or check:
        name = "--data" if data is not None else "--check"
        faults.append(_fault(name, "with MEASURED", "published tables alone", "leave it out"))
    if faults:
        raise InputFaults(faults)


def _fault(field: str, got: str, allowed: str, remedy: str) -> Fault:
    return Fault(field=field, got=got, allowed=allowed, remedy=remedy)


def _calibrate_own(measured: Path, machine: str, out_dir: Path, *, as_json: bool) -> None:
    found = calibrate_own(measured, machine)
    with writing("--out", out_dir):
        found.write(out_dir)
        title = f"{found.fit.device}: curves and the rows they were judged on"
        write_residuals(residuals_of_own(found), out_dir / RESIDUALS_FILE, title=title)
    if as_json:
        print_json(found.document | {"written": str(out_dir)})
        return
    _show_learned(found)
    out.print(f"written: {out_dir} (machine = {str(out_dir)!r} in a scenario), {RESIDUALS_FILE}", markup=False)


def _show_learned(found: OwnCalibration) -> None:
    table = Table("learned")
    for name in ("before", "now", "from"):
        table.add_column(name, justify="left" if name == "from" else "right")
    for item in found.learned:
        table.add_row(item.path, f"{item.before:.4g}", f"{item.value:.4g}", item.note)
    out.print(table)
    kernels = Table("curve")
    for name in ("rows", "floor µs", "TFLOP/s", "GB/s", "median error", "judged on"):
        kernels.add_column(name, justify="right")
    for row in found.document["curves"]:
        kernels.add_row(
            row["name"], str(row["n_rows"]), f"{row['floor_s'] * 1e6:.1f}", _rate(row["flops_per_s"], 1e12),
            _rate(row["bytes_per_s"], 1e9), percent(row["median_error"]), row["judged_on"],
        )  # fmt: skip
    out.print(kernels)
    for name, kept in found.fit.pace_kept.items():
        out.print(f"{name} keeps {kept:.0%} of its pace", markup=False)
    for line in found.document["notes"]:
        out.print(line, markup=False)


def _rate(value: Any, unit: float) -> str:  # noqa: ANN401 (a number or None)
    return "–" if value is None else f"{value / unit:.3g}"


def _calibrate_published(folder: Path, out_dir: Path | None, *, check: bool, as_json: bool) -> Sequence[str]:
    if out_dir is None and not check:
        raise InputFaults([_fault("--out", "nothing", "a directory, or --check alone", "say where fitted.json goes")])
    for line in check_tables(folder):
        err.print(f"left aside: {line}", markup=False)
    err.print("fitting; this takes about a minute …")
    fitted = fit_all(folder)
    paths = []
    if out_dir is not None:
        with writing("--out", out_dir):
            paths = write_fitted(fitted, out_dir)
    found = list(unreproduced(folder, fitted, read_fitted(PROFILES_DIR))) if check else []
    if as_json:
        print_json({"written": [str(path) for path in paths], "checked": check, "differences": found})
    else:
        _show(paths, found, check=check)
    return found


def _show(paths: list[Path], found: list[str], *, check: bool) -> None:
    for path in paths:
        out.print(f"written: {path}", markup=False)
    for line in found[:DIFFERENCES_SHOWN]:
        out.print(line, markup=False)
    if len(found) > DIFFERENCES_SHOWN:
        out.print(f"… and {len(found) - DIFFERENCES_SHOWN} more", markup=False)
    if check and not found:
        out.print("the shipped fits are what these tables give", markup=False)
