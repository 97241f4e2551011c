"""The command that asks what if: a scenario before and after a change, and why it differs."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated, Any

import typer

from hw_profiles.faults import Fault, InputFaults
from simulator.console import (
    ANSWERED,
    CANNOT_FIT,
    JsonOption,
    ScenarioArgument,
    faults_to_exit_code,
    out,
    print_json,
    print_rows,
)
from simulator.question import Question, load_question
from simulator.relative import absolute, value_of
from simulator.report.before_after import before_after_table, cause_sentences
from simulator.report.formats import quantity_text
from simulator.run_key import run_key
from simulator.runs_command import parts_of
from simulator.stored_run import StoredRun, run_question
from simulator.traffic_options import (
    CountOption,
    OutputOption,
    PromptOption,
    ReplayedOption,
    ScaleOption,
    SloOption,
    traffic_tables,
)

ChangeOption = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE|2x|+30%", help="What changes; a number also by factor or per cent."),
]
BothOption = Annotated[
    list[str] | None, typer.Option("--both", metavar="KEY=VALUE", help="What holds before and after; repeatable.")
]


def whatif(
    context: typer.Context,
    scenario: ScenarioArgument,
    change: ChangeOption,
    both: BothOption = None,
    requests: ReplayedOption = "",
    count: CountOption = None,
    prompt: PromptOption = None,
    output: OutputOption = None,
    rate_scale: ScaleOption = None,
    slo: SloOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say what a change of machine, model, layout or traffic does: one step before and after, with the causes; with
    --requests a replay of each as well."""
    with faults_to_exit_code():
        traffic = traffic_tables(
            requests, count=count, prompt=prompt, output=output, rate_scale=rate_scale, slo=slo
        )  # fmt: skip
        before = load_question(scenario, both or [], traffic=traffic)
        after = load_question(scenario, [*(both or []), *absolute(change, before)], traffic=traffic)
        keys = list(dict.fromkeys(setting.partition("=")[0].strip() for setting in change))
        values = {key: [value_of(question, key) for question in (before, after)] for key in keys}
        _check_change(before, after, change)
        runs = [_answered(question, name) for question, name in ((before, "before"), (after, "after"))]
        steps = (
            [_step(question, name) for question, name in ((before, "before"), (after, "after"))] if traffic else runs
        )
        if as_json:
            print_json({"version": context.obj("__version__"), "set": values, **_document(runs, steps)})
        else:
            _show(values, runs, steps)
    raise typer.Exit(ANSWERED if all(run.feasible for run in runs) else CANNOT_FIT)


def _check_change(before: Question, after: Question, change: Sequence[str]) -> None:
    if run_key(before) == run_key(after):
        raise InputFaults([Fault(field="--set", got=", ".join(change), allowed="values that the scenario does not have",
                                 remedy="it changes nothing: set another value or key")])  # fmt: skip


def _answered(question: Question, name: str) -> StoredRun:
    named = replace(question, scenario=replace(question.scenario, name=name))
    return run_question(named, run_key(named))


def _step(question: Question, name: str) -> StoredRun:
    return _answered(replace(question, traffic=None), name)


def _document(runs: Sequence[StoredRun], steps: Sequence[StoredRun]) -> dict[str, Any]:
    return {"before": asdict(runs[0]), "after": asdict(runs[1]), "parts": parts_of(steps[0], steps[1])}


def _show(values: dict[str, list[Any]], runs: Sequence[StoredRun], steps: Sequence[StoredRun]) -> None:
    for key, (was, now) in values.items():
        out.print(f"{key}: {quantity_text(was)} → {quantity_text(now)}", markup=False)
    print_rows(before_after_table(*runs), {"name": "", "before": "before", "after": "after", "change": "change"})
    for sentence in cause_sentences(*runs):
        out.print(sentence, markup=False)
    if steps is not runs and steps[0].metrics != steps[1].metrics:
        out.print("One step of the scenario's own batch:", markup=False)
        for sentence in cause_sentences(*steps):
            out.print(sentence, markup=False)
    for warning in dict.fromkeys(warning for run in runs for warning in run.details.get("warnings", [])):
        out.print(warning, markup=False)
