"""The command that judges: validate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from hw_profiles.faults import Fault, InputFaults, unknown_word
from simulator.console import (
    ANSWERED,
    MISSED_BAR,
    JsonOption,
    ReportOption,
    check_writable,
    err,
    faults_to_exit_code,
    print_json,
    writing,
)
from simulator.report.residuals import write_residuals
from validation.cli.shown import show_kernels, show_layers, show_rows
from validation.known_tables import default_data, tables_path
from validation.suites.balance import balance_document
from validation.suites.kernels import judge_kernels, residuals_of
from validation.suites.layers import layers_document
from validation.suites.published import published_document
from validation.suites.scmoe import scmoe_document
from validation.suites.theory import theory_document

Document = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a suite may be told."""

    data: Path | None = None
    by: str = ""
    points: Path | None = None
    profile: str = ""
    measured: Path | None = None
    report: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Suite:
    """How a suite is judged and shown, the options that it knows, and the key of the rows that bear a verdict."""

    judge: Callable[[Options], Document]
    show: Callable[[Document], None]
    options: tuple[str, ...] = ()
    verdicts: str = "rows"


def _kernels(options: Options) -> Document:
    check_writable({"--report": options.report})
    judgement = judge_kernels(options.data or default_data(), by=options.by)
    if options.report is not None:
        with writing("--report", options.report):
            write_residuals(residuals_of(judgement), options.report, title="Kernels: predicted and measured")
        err.print(f"report: {options.report}", markup=False)
    return judgement.document


def _balance(options: Options) -> Document:
    return balance_document(options.data or tables_path())


def _published(options: Options) -> Document:
    return published_document(options.points or default_data() / "measured" / "published_points.json")


def _layers(options: Options) -> Document:
    faults = [
        Fault(field=f"--{name}", got="nothing", allowed=allowed, remedy="name it")
        for name, allowed in (("profile", "a profile that `longsim calibrate MEASURED` wrote"),
                              ("measured", "a folder with whole layers that `longsim measure` wrote"))
        if not getattr(options, name)
    ]  # fmt: skip
    if faults:
        raise InputFaults(faults)
    return layers_document(options.profile, options.measured or Path())


SUITES: Mapping[str, Suite] = {
    "theory": Suite(judge=lambda _: theory_document(), show=show_rows),
    "kernels": Suite(judge=_kernels, show=show_kernels, options=("data", "by", "report"), verdicts="tables"),
    "layers": Suite(judge=_layers, show=show_layers, options=("profile", "measured"), verdicts="verdicts"),
    "balance": Suite(judge=_balance, show=show_rows, options=("data",)),
    "published": Suite(judge=_published, show=show_rows, options=("points",)),
    "scmoe": Suite(judge=lambda _: scmoe_document(), show=show_rows),
}
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="PATH", help="Directory of tables, or one CSV file of kernels (kernels, balance)."),
]
ByOption = Annotated[str, typer.Option("--by", metavar="COLUMN", help="Group by this column of the tables (kernels).")]

PointsOption = Annotated[
    Path | None, typer.Option("--points", metavar="FILE.json", help="Published figures (published).")
]
ProfileOption = Annotated[str, typer.Option("--profile", metavar="DIR", help="Profile that predicts (layers).")]
MeasuredOption = Annotated[
    Path | None, typer.Option("--measured", metavar="DIR", help="Folder of measured whole layers (layers).")
]


def validate(
    suite: Annotated[
        str, typer.Argument(metavar="SUITE", help="theory | kernels | layers | balance | published | scmoe")
    ],
    data: DataOption = None,
    by: ByOption = "",
    points: PointsOption = None,
    profile: ProfileOption = "",
    measured: MeasuredOption = None,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge predictions against published and measured figures; exit code 1 if a bar is missed."""
    with faults_to_exit_code():
        if suite not in SUITES:
            raise InputFaults([unknown_word("suite", suite, list(SUITES))])
        chosen = SUITES[suite]
        options = Options(data=data, by=by, points=points, profile=profile, measured=measured, report=report)
        _refuse_foreign(suite, chosen, options)
        document = chosen.judge(options)
        if as_json:
            print_json(document)
        else:
            chosen.show(document)
    missed = any(row["ok"] is False for row in document[chosen.verdicts])
    raise typer.Exit(MISSED_BAR if missed else ANSWERED)


def _refuse_foreign(name: str, suite: Suite, options: Options) -> None:
    """Refuse options that mean nothing to the suite."""
    faults = [
        Fault(
            field=f"--{option}", got=repr(str(value)), allowed=f"nothing with the suite {name!r}", remedy="leave it out"
        )
        for option, value in vars(options).items()
        if value and option not in suite.options
    ]
    if faults:
        raise InputFaults(faults)
