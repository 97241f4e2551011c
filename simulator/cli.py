"""The commands that simulate: demo, models, scenarios, run, compare."""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hw_profiles.faults import Fault, InputFaults
from simulator.answer import Answer
from simulator.console import (
    ANSWERED,
    CANNOT_FIT,
    JsonOption,
    ReportOption,
    Resolve,
    SetOption,
    TraceOption,
    check_writable,
    err,
    faults_to_exit_code,
    out,
    print_json,
    writing,
)
from simulator.evaluate import document, evaluate
from simulator.report.comparison_words import comparison_sentences
from simulator.report.formats import bytes_text, flops_text, money_text, number_text, time_text
from simulator.report.words import EVEN, confidence_line, headline, sentences
from simulator.scenario import list_scenarios, load_scenario, read_tables
from workloads.zoo import ZOO, activated_parameters, count_parameters, kv_bytes_per_token

ScenarioArgument = Annotated[str, typer.Argument(metavar="SCENARIO", help="A shipped scenario's name, or a TOML file.")]


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
        "kv_bytes_per_token": kv_bytes_per_token(model, "bf16") * model.n_attentions,
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
    """Compare a scenario under every combination of the varied keys; what does not fit is a row with its reason."""
    with faults_to_exit_code():
        check_writable({"--report": report})
        axes = _axes(vary)
        chosen = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
        rows = [_compared(scenario, settings or [], values) for values in chosen]
        answers = [answer for _, answer in rows]
        write_files(context.obj, answers, report=report, trace=None, title=f"{scenario}: {', '.join(axes)}")
        if as_json:
            print_json({"vary": list(axes), "rows": [_comparison_row(*row) for row in rows]})
            return
        out.print(_comparison_table(list(axes), rows))
        for sentence in comparison_sentences(answers):
            out.print(sentence, markup=False)


def _axes(vary: Sequence[str]) -> dict[str, list[str]]:
    axes: dict[str, list[str]] = {}
    for key, values in map(_axis, vary):
        if key in axes:
            allowed, remedy = "each key once", f"write all of its values together: {key}=A,B,C"
            raise InputFaults([Fault(field="--vary", got=f"{key!r} twice", allowed=allowed, remedy=remedy)])
        axes[key] = values
    return axes


def _axis(text: str) -> tuple[str, list[str]]:
    key, equals, values = text.partition("=")
    if not equals or not key or not all(values.split(",")):
        allowed = "KEY=A,B,C, such as layout.ep=32,64,128"
        raise InputFaults(
            [Fault(field="--vary", got=repr(text), allowed=allowed, remedy="write the values to compare")]
        )
    return key, values.split(",")


def _compared(scenario: str, settings: Sequence[str], chosen: dict[str, str]) -> tuple[dict[str, str], Answer]:
    varied = [f"{key}={value}" for key, value in chosen.items()]
    named = load_scenario(scenario, [*settings, *varied, f'name="{" ".join(varied)}"'])
    return chosen, evaluate(named)


def _comparison_row(chosen: dict[str, str], answer: Answer) -> dict[str, Any]:
    return {"set": chosen, "feasible": answer.feasible, "reason": answer.reason, "metrics": answer.metrics}


def _comparison_table(keys: Sequence[str], rows: Sequence[tuple[dict[str, str], Answer]]) -> Table:
    table = Table(
        *keys,
        "step",
        "TPOT",
        "tokens/s/GPU",
        "tokens/s/user",
        "exposed comm",
        "$/M tokens",
        "FLOPs",
        "bytes sent",
        "hottest rank",
        "bound by",
    )
    for chosen, answer in rows:
        table.add_row(*chosen.values(), *_cells(answer))
    return table


def _cells(answer: Answer) -> Iterator[str]:
    m = answer.metrics
    if not answer.feasible:
        yield "does not fit"
        return
    price = m.get("usd_per_million_output_tokens", m.get("usd_per_million_input_tokens"))
    yield time_text(m["step_s"])
    yield time_text(m["tpot_s"]) if "tpot_s" in m else "–"
    yield number_text(m["tokens_per_s_per_gpu"])
    yield number_text(m["tokens_per_s_per_user"]) if "tokens_per_s_per_user" in m else "–"
    yield time_text(m["exposed_comm_s"])
    yield money_text(price)
    yield flops_text(m["flops"])
    yield ", ".join(f"{bytes_text(sent)} {tier}" for tier, sent in m["bytes"].items()) or "–"
    yield f"{m['hottest_rank']}: {number_text(m['load_imbalance'])}×" if m["load_imbalance"] > EVEN else "even"
    yield str(m["bound_by"])


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
        out.print(_comparison_table(["schedule"], [({"schedule": a.name}, a) for a in answers]))
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
