"""The command that replays requests on a deployment."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hw_profiles.faults import Fault, InputFaults
from simulator.console import (
    INTERRUPTED,
    JsonOption,
    ReportOption,
    Resolve,
    SetOption,
    TraceOption,
    check_folder,
    check_writable,
    err,
    faults_to_exit_code,
    first_interrupt,
    out,
    print_json,
    writing,
)
from simulator.failures import Failures
from simulator.replay_watch import ReplayWatch, Stopped
from simulator.report.formats import money_text, number_text, share_text, time_text
from simulator.report.serving_words import pool_sentences, pool_words
from simulator.scenario import load_scenario
from simulator.scenario_schema import Scenario
from simulator.serving.answer import ServingAnswer, serve, serving_document
from simulator.serving.failure_metrics import beside_no_failures
from simulator.serving.metrics import Slo
from simulator.serving.tables_out import EndedTable, check_table_format, write_tables
from simulator.slo_words import parse_slo
from workloads.traffic.requests import Requests
from workloads.traffic.sessions import SessionTraffic
from workloads.traffic.sources import MADE_REQUESTS, traffic_of

_ENDLESS = sys.maxsize
_OPTIONS = {"traffic": "--requests", "n_requests": "--count", "rate_scale": "--rate-scale", "prompt": "--prompt",
            "output": "--output"}  # fmt: skip

ScenarioArgument = Annotated[str, typer.Argument(metavar="SCENARIO", help="A shipped scenario's name, or a TOML file.")]
RequestsOption = Annotated[
    str, typer.Option("--requests", metavar="FILE|LAW:RATE", help="A trace's file, or a law such as poisson:4.")
]
CountOption = Annotated[int | None, typer.Option("--count", metavar="N", help="The first N requests only.")]
PromptOption = Annotated[str, typer.Option("--prompt", metavar="LAW", help="Prompt lengths of a law's requests.")]
OutputOption = Annotated[str, typer.Option("--output", metavar="LAW", help="Output lengths of a law's requests.")]
ScaleOption = Annotated[float, typer.Option("--rate-scale", metavar="X", help="Requests come X times as fast.")]
UntilOption = Annotated[float, typer.Option("--until", metavar="S", help="Stop the clock after S seconds.")]
StopOption = Annotated[bool, typer.Option("--stop-overloaded", help="Stop as soon as the queue keeps growing.")]
ProgressOption = Annotated[
    bool | None, typer.Option("--progress/--no-progress", help="Say how far it is, also where stderr is no terminal.")
]
SloOption = Annotated[str, typer.Option("--slo", metavar="ttft=2s,tpot=50ms", help="What a request is promised.")]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write the tables into this directory.")]
FormatOption = Annotated[str, typer.Option("--format", metavar="csv|parquet", help="Of the tables.")]


def replay(
    context: typer.Context,
    scenario: ScenarioArgument,
    requests: RequestsOption,
    count: CountOption = None,
    prompt: PromptOption = "lognormal:1024,cv=1",
    output: OutputOption = "fixed:128",
    rate_scale: ScaleOption = 1.0,
    until: UntilOption = float("inf"),
    stop_overloaded: StopOption = False,
    slo: SloOption = "",
    settings: SetOption = None,
    out_dir: OutOption = None,
    table_format: FormatOption = "csv",
    progress: ProgressOption = None,
    as_json: JsonOption = False,
    report: ReportOption = None,
    trace: TraceOption = None,
) -> None:
    """Replay requests on replicas of a scenario: latencies, throughput, goodput, cost, and whether it keeps up."""
    with faults_to_exit_code():
        promised = parse_slo(slo)
        _check_until(until)
        check_table_format(table_format)
        check_writable({"--report": report, "--trace": trace})
        check_folder("--out", out_dir)
        loaded = _checked(load_scenario(scenario, settings or []), until)
        n_requests = _how_many(requests, count, until)

        stream = partial(
            traffic_of, requests, rate_scale=rate_scale, n_requests=n_requests, seed=loaded.seed, prompt=prompt,
            output=output,
        )  # fmt: skip
        ended = _ended_table(out_dir)
        with first_interrupt() as interrupted:
            watch = ReplayWatch(
                n_requests=None if n_requests == _ENDLESS else n_requests, until_s=until, ended=ended,
                tells=err.is_terminal if progress is None else progress, stops_overloaded=stop_overloaded,
                interrupted=interrupted,
            )  # fmt: skip
            answer = _answered(loaded, stream, slo=promised, until_s=until, watch=watch)
        _write(context.obj, answer, out_dir=out_dir, table_format=table_format, report=report, trace=trace)
        if ended:
            ended.remove()
        if as_json:
            print_json({"version": context.obj("__version__"), "stopped": watch.stopped, **serving_document(answer)})
        else:
            _show(answer)
        if watch.stopped == "interrupted":
            raise typer.Exit(INTERRUPTED)


def _answered(
    scenario: Scenario, stream: Callable[[], Iterator[Requests] | SessionTraffic], *, slo: Slo, until_s: float,
    watch: ReplayWatch,
) -> ServingAnswer:  # fmt: skip
    """The answer, where something broke beside that to the same requests without failures."""
    with _named_as_options():
        coming = stream()
    answer = serve(scenario, coming, slo=slo, until_s=until_s, watch=watch)
    if "failures" in answer.metrics and not watch.stopped:
        whole = serve(replace(scenario, failures=Failures()), stream(), slo=slo, until_s=until_s)
        answer = replace(answer, metrics=beside_no_failures(answer.metrics, whole.metrics))
    return _with_reason(answer, watch.stopped)


def _ended_table(folder: Path | None) -> EndedTable | None:
    if folder is None:
        return None
    with writing("--out", folder):
        return EndedTable(folder)


_STOPPED = {
    "interrupted": "interrupted: this is of what has run so far",
    "overloaded": "stopped early: the queue keeps growing; this is of what has run so far",
}


def _with_reason(answer: ServingAnswer, stopped: Stopped) -> ServingAnswer:
    return replace(answer, warnings=[_STOPPED[stopped], *answer.warnings]) if stopped else answer


def _how_many(requests: str, count: int | None, until_s: float) -> int | None:
    """Requests to take: of a file, None for all; of a law, as many as come before `until_s` where that is given."""
    if count is not None or Path(requests).is_file():
        return count
    return MADE_REQUESTS if until_s == float("inf") else _ENDLESS


def _check_until(until_s: float) -> None:
    if not until_s > 0.0:
        raise InputFaults([Fault(field="--until", got=f"{until_s:g}", allowed="a number above 0 [s]",
                                 remedy="leave it out to replay all requests")])  # fmt: skip


def _checked(scenario: Scenario, until_s: float) -> Scenario:
    """The scenario, if its failures can happen before the clock stops."""
    late = [(i, event.at_s) for i, event in enumerate(scenario.failures.events) if event.at_s >= until_s]
    if late:
        raise InputFaults(
            Fault(field=f"failures.events[{i}].at_s", got=f"{at_s:g}", allowed=f"below --until {until_s:g}",
                  remedy="set it earlier, or stop the clock later") for i, at_s in late
        )  # fmt: skip
    return scenario


@contextmanager
def _named_as_options() -> Iterator[None]:
    """Name in faults the options that the user wrote."""
    try:
        yield
    except InputFaults as error:
        raise InputFaults([replace(f, field=_OPTIONS.get(f.field, f.field)) for f in error.faults]) from error


def _write(
    resolve: Resolve, answer: ServingAnswer, *, out_dir: Path | None, table_format: str, report: Path | None,
    trace: Path | None,
) -> None:  # fmt: skip
    """Write the files that were asked for, and say so on stderr."""
    title = answer.scenario.title or answer.scenario.name
    if out_dir is not None:
        with writing("--out", out_dir):
            write_tables(answer.run, out_dir, table_format)
        err.print(f"tables: {out_dir}", markup=False)
    if report is not None:
        with writing("--report", report):
            resolve("write_serving_page")(answer, report, title=title)
        err.print(f"report: {report}", markup=False)
    if trace is not None:
        with writing("--trace", trace):
            resolve("write_serving_trace")(answer.run, trace, name=title)
        err.print(f"trace: {trace}", markup=False)


_LATENCIES = {"ttft_s": "TTFT", "tpot_s": "TPOT", "itl_s": "ITL", "e2e_s": "end to end"}


def _show(answer: ServingAnswer) -> None:
    m, deployed = answer.metrics, answer.deployment
    knobs = deployed.knobs
    out.print(
        f"{m['verdict']}: {m['n_done']:,} of {m['n_requests']:,} requests done, {m['n_rejected']:,} rejected, in "
        f"{time_text(m['elapsed_s'])}; {'; '.join(pool_words(deployed))}", markup=False,
    )  # fmt: skip
    table = Table("latency", "mean", "p50", "p90", "p99")
    for name, title in _LATENCIES.items():
        table.add_row(title, *(time_text(value) for value in m[name].values()))
    out.print(table)
    for sentence in (*_sentences(m), *pool_sentences(m)):
        out.print(sentence, markup=False)
    for pool, error in answer.errors.items():
        out.print(
            f"step times of {pool}: {error.median:.2%} median, {error.worst:.2%} worst interpolation error over "
            f"{error.n_steps} steps computed exactly", markup=False,
        )  # fmt: skip
    asked = [name for name, source in knobs.sources.items() if source == "asked for"]
    out.print(
        f"scheduler: defaults of {knobs.name} {knobs.version}, asked for: {', '.join(asked) or 'none'}; every knob and "
        f"its source: --report or --json", markup=False,
    )  # fmt: skip
    for warning in answer.warnings:
        out.print(warning, markup=False)


def _sentences(m: Any) -> Iterator[str]:  # noqa: ANN401 (metrics by name)
    yield (
        f"{number_text(m['requests_per_s'])} requests/s, {number_text(m['goodput_per_s'])} within the SLO "
        f"({share_text(m['slo_share'])}); {number_text(m['tokens_per_s_per_gpu'])} tokens/s/GPU, "
        f"{number_text(m['tokens_per_s_per_user'])} tokens/s/user; "
        f"{money_text(m['usd_per_million_output_tokens'])} per million output tokens"
    )
    yield (
        f"GPU busy {share_text(m['busy_share'])}; {share_text(m['hit_share'])} of prompt tokens from the prefix cache; "
        f"{m['n_preemptions']:,} preemptions; {m['n_steps']:,} steps"
    )
