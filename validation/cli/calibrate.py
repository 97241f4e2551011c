"""The command that fits: calibrate."""

from pathlib import Path
from typing import Annotated

import typer

from hw_profiles.faults import Fault, InputFaults
from simulator.console import ANSWERED, MISSED_BAR, JsonOption, err, faults_to_exit_code, out, print_json, writing
from validation.calibrate import PROFILES_DIR, fit_all
from validation.fitted_files import differences, write_fitted
from validation.kernels import read_fitted
from validation.known_tables import default_data
from validation.table_checks import check_tables

DIFFERENCES_SHOWN = 20


def calibrate(
    data: Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Directory of the tables.")] = None,
    out_dir: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where MACHINE/fitted.json is written.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare with the shipped fits; exit code 1 if different.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fit every machine's curves on measured tables; nothing is written unless all of them are sound."""
    with faults_to_exit_code():
        if out_dir is None and not check:
            raise InputFaults([Fault(field="--out", got="nothing", allowed="a directory, or --check alone",
                                     remedy="say where fitted.json goes")])  # fmt: skip
        folder = data or default_data()
        for line in check_tables(folder):
            err.print(f"left aside: {line}", markup=False)
        err.print("fitting; this takes about a minute …")
        fitted = fit_all(folder)
        paths = []
        if out_dir is not None:
            with writing("--out", out_dir):
                paths = write_fitted(fitted, out_dir)
        found = list(differences(fitted, read_fitted(PROFILES_DIR))) if check else []
        if as_json:
            print_json({"written": [str(path) for path in paths], "checked": check, "differences": found})
        else:
            _show(paths, found, check=check)
    raise typer.Exit(MISSED_BAR if found else ANSWERED)


def _show(paths: list[Path], found: list[str], *, check: bool) -> None:
    for path in paths:
        out.print(f"written: {path}", markup=False)
    for line in found[:DIFFERENCES_SHOWN]:
        out.print(line, markup=False)
    if len(found) > DIFFERENCES_SHOWN:
        out.print(f"… and {len(found) - DIFFERENCES_SHOWN} more", markup=False)
    if check and not found:
        out.print("the shipped fits are what these tables give, to 6 significant digits", markup=False)
