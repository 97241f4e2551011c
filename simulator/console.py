"""What every command shares: JSON on stdout, words on stderr, faults as exit codes, paths that can be written."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, TextIO

import pandas as pd
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hw_profiles.faults import Fault, InputFaults
from simulator.plain import finite

ANSWERED, MISSED_BAR, BAD_INPUT, CANNOT_FIT = 0, 1, 2, 3
INTERRUPTED = 130  # 128 + SIGINT, as shells count it

ScenarioArgument = Annotated[str, typer.Argument(metavar="SCENARIO", help="A shipped scenario's name, or a TOML file.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one scenario key, such as layout.ep=64; repeatable."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
ReportOption = Annotated[Path | None, typer.Option("--report", metavar="FILE.html", help="Write a report page.")]
TraceOption = Annotated[
    Path | None, typer.Option("--trace", metavar="FILE.json", help="Write a trace for Perfetto (ui.perfetto.dev).")
]

Resolve = Callable[[str], Any]  # the front door's late look-up, handed down as a command's context object

_ANY_WIDTH = 10_000
_PIPE_COLUMNS = 160  # nobody wraps a file or a pipe, and a table needs room


def _console(stream: TextIO, *, stderr: bool) -> Console:
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_COLUMNS
    return Console(stderr=stderr, highlight=False, soft_wrap=True, width=width)


out = _console(sys.stdout, stderr=False)
err = _console(sys.stderr, stderr=True)


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document; numbers that are not finite become null."""
    out.print(json.dumps(finite(document), indent=1, ensure_ascii=False), markup=False)


def print_rows(rows: pd.DataFrame, headings: Mapping[str, str]) -> None:
    """Print the columns of `rows` named in `headings` (column to heading) as a table; cells are texts. In a pipe or a
    file it takes the room it needs: nobody wraps it there."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column, heading in headings.items():
        table.add_column(heading, no_wrap=column == "name" or not out.is_terminal)
    for row in rows[list(headings)].itertuples(index=False):
        table.add_row(*map(escape, row))
    if out.is_terminal:
        out.print(table)
    else:
        Console(file=out.file, highlight=False, width=_ANY_WIDTH).print(table, crop=False)


@contextmanager
def faults_to_exit_code() -> Iterator[None]:
    """Turn what a user did wrong into lines on stderr and exit code 2, without a traceback."""
    try:
        yield
    except InputFaults as error:
        err.print(str(error), markup=False)
        raise typer.Exit(BAD_INPUT) from None
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        err.print(str(error), markup=False)
        raise typer.Exit(BAD_INPUT) from None
    except KeyboardInterrupt:
        err.print("interrupted; no file was left half-written")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise typer.Exit(ANSWERED) from None


def check_writable(paths: Mapping[str, Path | None]) -> None:
    """Raise InputFaults, before anything is computed, for every output path that cannot be written."""
    faults = [
        Fault(
            field=option, got=f"{str(path)!r}, {reason}", allowed="a path that can be written", remedy="choose another"
        )
        for option, path in paths.items()
        if path is not None and (reason := _why_unwritable(path))
    ]
    if faults:
        raise InputFaults(faults)


def check_folder(option: str, path: Path | None) -> None:
    """Raise InputFaults, before anything is computed, for a folder that is none, or cannot be made or written."""
    if path is None or not path.exists():
        check_writable({option: path})
    elif not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        got = f"{str(path)!r}, which is " + ("read-only" if path.is_dir() else "no directory")
        allowed, remedy = "a directory that can be written", "choose another"
        raise InputFaults([Fault(field=option, got=got, allowed=allowed, remedy=remedy)])


@contextmanager
def first_interrupt() -> Iterator[Callable[[], bool]]:
    """Hold back the first Ctrl-C: the function says whether it came. The second one interrupts as ever."""
    asked = False

    def hold(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def _why_unwritable(path: Path) -> str:
    folder = path.parent
    if path.is_dir():
        return "which is a directory"
    if not folder.is_dir():
        return f"whose directory {folder} does not exist"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"whose directory {folder} is read-only"
    return ""


@contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """Turn a failure to write `path` into words."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputFaults(
            [Fault(field=option, got=f"{str(path)!r}, {reason}", allowed="a path that can be written",
                   remedy="free some space or choose another")]
        ) from error  # fmt: skip
