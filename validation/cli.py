"""The command that judges: validate."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from hw_profiles.faults import InputFaults, unknown_word
from simulator.console import ANSWERED, MISSED_BAR, JsonOption, faults_to_exit_code, out, print_json
from validation.suites.theory import theory_document

SUITES: Mapping[str, Callable[[], dict[str, Any]]] = {"theory": theory_document}


def validate(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="theory")], as_json: JsonOption = False
) -> None:
    """Judge predictions against published figures; exit code 1 if a row misses its bar."""
    with faults_to_exit_code():
        if suite not in SUITES:
            raise InputFaults([unknown_word("suite", suite, list(SUITES))])
        document = SUITES[suite]()
        if as_json:
            print_json(document)
        else:
            _show(document)
    raise typer.Exit(ANSWERED if all(row["ok"] for row in document["rows"]) else MISSED_BAR)


def _show(document: Mapping[str, Any]) -> None:
    table = Table("id")
    for name in ("predicted", "reference"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("unit", "error", "verdict", "what"):
        table.add_column(name, justify="right" if name == "error" else "left", no_wrap=name != "what")
    for row in document["rows"]:
        table.add_row(
            row["id"], f"{row['predicted']:.6g}", f"{row['reference']:.6g}", row["unit"], f"{row['rel_error']:+.2%}",
            "ok" if row["ok"] else f"[red]missed {row['tolerance']:g}[/red]", row["what"],
        )  # fmt: skip
    out.print(table)
    for note in document["notes"]:
        out.print(f"{note['id']}: {note['text']}", markup=False)
    summary = document["summary"]
    out.print(f"{summary['n_ok']} of {summary['n']} rows within their bar", markup=False)
