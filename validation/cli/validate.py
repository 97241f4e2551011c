"""The command that judges: validate."""

from pathlib import Path
from typing import Annotated

import typer

from hw_profiles.faults import Fault, InputFaults, unknown_word
from simulator.console import (
    ANSWERED,
    MISSED_BAR,
    JsonOption,
    ReportOption,
    err,
    faults_to_exit_code,
    print_json,
)
from validation.cli.suites import SUITES, Options, Suite
from validation.live.processes import RankFailedError

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="Directory of tables or runs, or one CSV file of kernels (kernels, balance, collectives, serving).",
    ),
]
RunOption = Annotated[Path | None, typer.Option("--run", metavar="DIR", help="Folder of one recorded run (serving).")]
ByOption = Annotated[str, typer.Option("--by", metavar="COLUMN", help="Group by this column of the tables (kernels).")]

PointsOption = Annotated[
    Path | None, typer.Option("--points", metavar="FILE.json", help="Published figures (published).")
]
ProfileOption = Annotated[
    str, typer.Option("--profile", metavar="DIR", help="Profile that predicts (layers, serving).")
]
MeasuredOption = Annotated[
    Path | None, typer.Option("--measured", metavar="DIR", help="Folder of measured whole layers (layers).")
]
LayerTraceOption = Annotated[
    Path | None, typer.Option("--trace", metavar="FILE", help="Recorded layer to set beside its prediction (layers).")
]
RanksOption = Annotated[
    int, typer.Option("--ranks", metavar="N", help="Processes, 2 by default (live).", show_default=False)
]
LinkOption = Annotated[
    str, typer.Option("--link", metavar="RATE", help="Shape the links between ranks, such as 1gbit; root (live).")
]
DeviceOption = Annotated[str, typer.Option("--device", metavar="KIND", help="cpu by default, or cuda (live).")]
MachineOption = Annotated[
    str, typer.Option("--machine", metavar="NAME", help="Machine of the GPU (live on cuda, serving).")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Keep measurements, profile and predictions here (live).")
]
PartOption = Annotated[
    str, typer.Option("--part", metavar="NAME", help="One part: recorded, or a published cluster's name (serving).")
]
RowsOption = Annotated[
    Path | None, typer.Option("--rows", metavar="FILE", help="Rows of a deployment to judge as longcat's (serving).")
]
QuickOption = Annotated[bool, typer.Option("--quick", help="Part longcat without its study of knobs (serving).")]


def validate(
    context: typer.Context,
    suite: Annotated[str, typer.Argument(metavar="SUITE", help=" | ".join(SUITES))],
    data: DataOption = None,
    run: RunOption = None,
    part: PartOption = "",
    rows: RowsOption = None,
    quick: QuickOption = False,
    by: ByOption = "",
    points: PointsOption = None,
    profile: ProfileOption = "",
    measured: MeasuredOption = None,
    trace: LayerTraceOption = None,
    ranks: RanksOption = 0,
    link: LinkOption = "",
    device: DeviceOption = "",
    machine: MachineOption = "",
    out: OutOption = None,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge predictions against published and measured figures; exit code 1 if a bar is missed."""
    with faults_to_exit_code():
        if suite not in SUITES:
            raise InputFaults([unknown_word("suite", suite, list(SUITES))])
        chosen = SUITES[suite]
        options = Options(
            data=data, by=by, points=points, profile=profile, measured=measured, trace=trace, ranks=ranks, link=link,
            device=device, machine=machine, out=out, report=report, run=run, part=part, rows=rows, quick=quick,
        )  # fmt: skip
        _refuse_foreign(suite, chosen, options)
        try:
            document = chosen.judge(options, context.obj)
        except RankFailedError as error:
            err.print(f"{error}{f'; what was measured is kept in {out}' if out else ''}", markup=False)
            raise typer.Exit(MISSED_BAR) from None
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
