"""The commands that simulate one scenario, or tell a story: demo, models, scenarios, run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from simulator.answer import Answer
from simulator.console import (
    ANSWERED,
    CANNOT_FIT,
    JsonOption,
    ReportOption,
    Resolve,
    ScenarioArgument,
    SetOption,
    TraceOption,
    check_writable,
    err,
    faults_to_exit_code,
    out,
    print_json,
    print_rows,
    writing,
)
from simulator.evaluate import document, evaluate
from simulator.report.candidates_table import CANDIDATE_COLUMNS, candidates_table
from simulator.report.comparison_words import comparison_sentences
from simulator.report.formats import number_text
from simulator.report.words import confidence_line, headline, sentences
from simulator.scenario import list_scenarios, load_scenario, read_tables
from workloads.memory import cached_bytes_per_token
from workloads.zoo import ZOO, activated_parameters, count_parameters


def models(as_json: JsonOption = False) -> None:
    """List the models that longsim knows, with exact parameter and KV-cache arithmetic."""
    rows = [_model_row(name) for name in ZOO]
    if as_json:
        print_json({"models": rows})
        return
    table = Table("model", "title", "total B", "activated B (mean)", "layers", "experts + zero, top-k", "KV B/token")
    for row in rows:
        table.add_row(
            row["name"], row["title"], f"{row['parameters'] / 1e9:.3f}", f"{row['activated_mean'] / 1e9:.3f}",
            str(row["layers"]), f"{row['routed_experts']} + {row['zero_experts']}, {row['top_k']}",
            f"{row['kv_bytes_per_token']:,.0f}",
        )  # fmt: skip
    out.print(table)


def _model_row(name: str) -> dict[str, Any]:
    model = ZOO[name]()
    return {
        "name": name,
        "title": model.title,
        "parameters": count_parameters(model).total,
        "activated_mean": activated_parameters(model, model.moe.mean_ffn_experts),
        "activated_max": activated_parameters(model, model.moe.top_k),
        "layers": model.n_layers,
        "routed_experts": model.moe.n_routed_experts,
        "zero_experts": model.moe.n_zero_experts,
        "top_k": model.moe.top_k,
        "kv_bytes_per_token": cached_bytes_per_token(model, kv="bf16"),
    }


def scenarios(as_json: JsonOption = False) -> None:
    """List the shipped scenarios."""
    rows = [{"name": name, "title": read_tables(name)[1].get("title", "")} for name in list_scenarios()]
    if as_json:
        print_json({"scenarios": rows})
        return
    table = Table("scenario", "what it is")
    for row in rows:
        table.add_row(row["name"], row["title"])
    out.print(table)


def run(
    context: typer.Context,
    scenario: ScenarioArgument,
    settings: SetOption = None,
    as_json: JsonOption = False,
    report: ReportOption = None,
    trace: TraceOption = None,
) -> None:
    """Simulate one step of a scenario and say where the time goes."""
    with faults_to_exit_code():
        check_writable({"--report": report, "--trace": trace})
        answer = evaluate(load_scenario(scenario, settings or []), shapes=trace is not None)
        write_files(context.obj, [answer], report=report, trace=trace, title=_title(answer))
        if as_json:
            print_json({"version": context.obj("__version__"), **document(answer)})
        else:
            for sentence in [headline(answer), *sentences(answer)[1:], *answer.warnings]:
                out.print(sentence, markup=False)
    raise typer.Exit(ANSWERED if answer.feasible else CANNOT_FIT)


def _title(answer: Answer) -> str:
    return str(answer.scenario.get("title") or answer.name)


def write_files(
    resolve: Resolve, answers: Sequence[Answer], *, report: Path | None, trace: Path | None, title: str
) -> None:
    """Write the report page of all answers and the trace of the first feasible one, and say so on stderr."""
    if report is not None:
        with writing("--report", report):
            resolve("write_page")(answers, report, title=title)
        err.print(f"report: {report}", markup=False)
    timed = next((a for a in answers if a.timeline is not None), None)
    if trace is not None and timed is not None:
        with writing("--trace", trace):
            resolve("write_trace")(timed.timeline, trace, name=timed.name)
        err.print(f"trace: {trace}", markup=False)


_DEMO = "longcat-flash-decode-h800x128"
_DEMO_CASES = (
    ("sequential", ["schedule=sequential"]),
    ("TBO", ["schedule=tbo"]),
    ("SBO", ["schedule=sbo"]),
    ("two-stream", ["schedule=two_stream"]),
    ("SBO, no zero experts", ["schedule=sbo", "routing.zero_experts=none"]),
)


def demo(context: typer.Context) -> None:
    """Tell LongCat-Flash's story on 128 H800s; leaves report.html and trace.json in the current directory."""
    with faults_to_exit_code():
        report, trace = Path("report.html"), Path("trace.json")
        check_writable({"report.html": report, "trace.json": trace})
        answers = []
        for name, settings in _DEMO_CASES:
            err.print(f"simulating {name} …", markup=False)
            answers.append(evaluate(load_scenario(_DEMO, [*settings, f'name="{name}"']), shapes=True))
        out.print(f"[bold]LongCat-Flash (560 B) decodes on 128 H800: {_workload(answers[0])}[/bold]")
        print_rows(candidates_table(answers), {"mark": "", "name": "schedule", **CANDIDATE_COLUMNS})
        for sentence in comparison_sentences(answers):
            out.print(f"· {sentence}", markup=False)
        out.print(confidence_line(answers[2]), markup=False)
        by_hope = [answers[2], *answers[:2], *answers[3:]]  # the trace is of SBO
        write_files(context.obj, by_hope, report=report, trace=trace, title="LongCat-Flash on 128 H800")


def _workload(answer: Answer) -> str:
    batch, mtp = answer.scenario["batch"], answer.scenario["mtp"]
    return (
        f"{batch['sequences_per_gpu']:g} sequences per GPU, {number_text(batch['context_tokens'])} tokens of context, "
        f"{mtp['n_draft']} draft accepted at {mtp['acceptance'][0]:.0%}"
    )
