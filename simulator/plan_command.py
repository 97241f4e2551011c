"""The command that plans: the smallest, cheapest cluster that meets the targets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from hw_profiles.faults import Fault, InputFaults
from simulator.console import (
    CANNOT_FIT,
    JsonOption,
    ReportOption,
    check_folder,
    check_writable,
    err,
    faults_to_exit_code,
    out,
    print_json,
    print_rows,
    writing,
)
from simulator.planner.make_plan import make_plan
from simulator.planner.plan_answer import PlanAnswer
from simulator.planner.plan_files import load_question
from simulator.report.plan_document import plan_document
from simulator.report.plan_tables import CHANGE_COLUMNS, FRONT_COLUMNS, OPTION_COLUMNS, plan_tables, shown_tables
from simulator.report.plan_words import headline, sentences
from simulator.serving.tables_out import check_table_format, write_table

PlanArgument = Annotated[str, typer.Argument(metavar="[PLAN]", help="A shipped plan's name, or a TOML file.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one key, such as traffic.requests_per_s=10; repeatable."),
]
ModelOption = Annotated[str, typer.Option("--model", help="In place of the file's: a model of `longsim models`.")]
MachineOption = Annotated[list[str] | None, typer.Option("--machine", help="A candidate machine; repeatable.")]
GpusOption = Annotated[list[int] | None, typer.Option("--gpus", metavar="N", help="A GPU count; repeatable.")]
RateOption = Annotated[float | None, typer.Option("--rate", metavar="R", help="Requests per second to be taken.")]
PromptOption = Annotated[str, typer.Option("--prompt", metavar="LAW", help="Prompt lengths, such as fixed:4000.")]
OutputOption = Annotated[str, typer.Option("--output", metavar="LAW", help="Answer lengths, such as fixed:1000.")]
SloOption = Annotated[str, typer.Option("--slo", metavar="ttft=2s,tpot=50ms", help="What a request is promised.")]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write the tables into this directory.")]
FormatOption = Annotated[str, typer.Option("--format", metavar="csv|parquet", help="Of the tables.")]
ScenarioOption = Annotated[
    Path | None, typer.Option("--scenario", metavar="FILE.toml", help="Write the plan as a scenario for `replay`.")
]


def plan(
    context: typer.Context,
    question: PlanArgument = "",
    model: ModelOption = "",
    machine: MachineOption = None,
    gpus: GpusOption = None,
    rate: RateOption = None,
    prompt: PromptOption = "",
    output: OutputOption = "",
    slo: SloOption = "",
    settings: SetOption = None,
    out_dir: OutOption = None,
    table_format: FormatOption = "csv",
    scenario: ScenarioOption = None,
    as_json: JsonOption = False,
    report: ReportOption = None,
) -> None:
    """Plan a cluster: how many of which GPUs, in which layout, for this traffic and these targets, at what price, and
    how sure."""
    with faults_to_exit_code():
        check_table_format(table_format)
        check_writable({"--report": report, "--scenario": scenario})
        check_folder("--out", out_dir)
        flags = _flags(model=model, machine=machine, gpus=gpus, rate=rate, prompt=prompt, output=output, slo=slo)
        answer = make_plan(load_question(question, [*flags, *(settings or [])]), n_workers=None)
        _write(answer, out_dir, table_format, scenario)
        if report is not None:
            with writing("--report", report):
                context.obj("write_plan_page")(answer, report, title=answer.question.title or answer.question.name)
            err.print(f"report: {report}", markup=False)
        if as_json:
            print_json({"version": context.obj("__version__"), **plan_document(answer)})
        else:
            _show(answer)
    if not answer.feasible:
        raise typer.Exit(CANNOT_FIT)


def _flags(
    *, model: str, machine: list[str] | None, gpus: list[int] | None, rate: float | None, prompt: str, output: str,
    slo: str,
) -> list[str]:  # fmt: skip
    """The short options as settings of a plan file."""
    lists = {"machines": machine, "n_gpus": gpus}
    words = {"model": model, "traffic.prompt": prompt, "traffic.output": output}
    found = [f'{key}="{value}"' for key, value in words.items() if value]
    found += [f"{key}={_list(values)}" for key, values in lists.items() if values]
    found += [f"traffic.requests_per_s={float(rate)!r}"] if rate is not None else []
    return [*found, *_promised(slo)]


def _list(values: Sequence[object]) -> str:
    return "[" + ", ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in values) + "]"


def _promised(slo: str) -> list[str]:
    found = []
    for part in slo.split(",") if slo else []:
        name, _, value = part.strip().partition("=")
        scale = 1e-3 if value.endswith("ms") else 1.0
        try:
            seconds = float(value.removesuffix("ms").removesuffix("s")) * scale
        except ValueError:
            seconds = float("nan")
        if name not in {"ttft", "tpot"} or not 0.0 < seconds < float("inf"):
            raise InputFaults([Fault(field="--slo", got=repr(slo), allowed="ttft=TIME,tpot=TIME, such as ttft=2s",
                                     remedy="write a number with s or ms for each")])  # fmt: skip
        found.append(f"targets.{name}_s={seconds!r}")
    return found


def _write(answer: PlanAnswer, out_dir: Path | None, table_format: str, scenario: Path | None) -> None:
    if out_dir is not None:
        with writing("--out", out_dir):
            out_dir.mkdir(parents=True, exist_ok=True)
            for name, table in plan_tables(answer).items():
                write_table(table, out_dir / f"{name}.{table_format}")
        err.print(f"tables: {out_dir}", markup=False)
    if scenario is not None and answer.scenario:
        with writing("--scenario", scenario):
            scenario.write_text(answer.scenario, encoding="utf-8")
        err.print(f"scenario: {scenario}", markup=False)


def _show(answer: PlanAnswer) -> None:
    out.print(headline(answer), markup=False)
    tables = shown_tables(answer)
    shown = (
        ("", "options", OPTION_COLUMNS), ("front", "front", FRONT_COLUMNS),
        ("what changes it", "changes", CHANGE_COLUMNS),
    )  # fmt: skip
    for title, name, columns in shown:
        if len(tables[name]):
            if title:
                out.print(f"{title}:", markup=False)
            print_rows(tables[name], columns)
    for sentence in sentences(answer):
        out.print(sentence, markup=False)
    for launch in answer.launches:
        out.print(f"{launch.pool}, {launch.n_replicas} × {launch.backend}: {launch.command}", markup=False)
        for missing in launch.cannot:
            out.print(f"  {launch.backend} cannot express: {missing}", markup=False)
