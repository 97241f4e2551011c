"""The command that compares: every combination of the values of some keys, the best first, and why it is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simulator.answer import Answer
from simulator.candidates import Candidate, axes_of, candidates
from simulator.console import (
    JsonOption,
    ReportOption,
    Resolve,
    ScenarioArgument,
    SetOption,
    check_writable,
    err,
    faults_to_exit_code,
    out,
    print_json,
    print_rows,
    writing,
)
from simulator.report.candidates_table import CANDIDATE_COLUMNS, candidates_table
from simulator.report.comparison_words import comparison_sentences
from simulator.scenario import load_scenario
from simulator.sweep import evaluate_all

_BASE = "the scenario itself"


def compare(
    context: typer.Context,
    scenario: ScenarioArgument,
    vary: Annotated[
        list[str], typer.Option("--vary", metavar="KEY=A,B,C", help="Values of one key to compare; repeatable.")
    ],
    settings: SetOption = None,
    as_json: JsonOption = False,
    report: ReportOption = None,
) -> None:
    """Compare a scenario under every combination of the varied keys, the best first, and say why it is; what cannot
    run is a row with its reason."""
    with faults_to_exit_code():
        check_writable({"--report": report})
        axes = axes_of(vary, settings or [])
        found = candidates(scenario, axes, settings or [])
        itself = Candidate(chosen={}, name=_BASE, scenario=replace(load_scenario(scenario, settings or []), name=_BASE))
        with _progress(len(found) + 1) as done:
            *answers, base = evaluate_all([*found, itself], done)
        if report is not None:
            _write(context.obj, answers, base, report=report, title=f"{scenario}: {', '.join(axes)}")
        if as_json:
            rows = [_row(candidate.chosen, answer) for candidate, answer in zip(found, answers, strict=True)]
            print_json({"vary": list(axes), "rows": rows})
            return
        print_rows(candidates_table(answers), {"mark": "", "name": "candidate", **CANDIDATE_COLUMNS})
        for sentence in comparison_sentences(answers, base):
            out.print(sentence, markup=False)


def _row(chosen: Mapping[str, str], answer: Answer) -> dict[str, Any]:
    return {"set": chosen, "feasible": answer.feasible, "reason": answer.reason, "metrics": answer.metrics}


def _write(resolve: Resolve, answers: Sequence[Answer], base: Answer, *, report: Path, title: str) -> None:
    with writing("--report", report):
        resolve("write_page")(answers, report, title=title, base=base)
    err.print(f"report: {report}", markup=False)


@contextmanager
def _progress(n: int) -> Iterator[Callable[[], None]]:
    """Show on a terminal's stderr how many of `n` are done and the time left; the function yielded counts one."""
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("", total=n)
        yield lambda: progress.advance(task)
