"""The command that replays requests on a deployment."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hw_profiles.faults import Fault, InputFaults
from simulator.console import (
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
from simulator.report.formats import money_text, number_text, share_text, time_text
from simulator.scenario import load_scenario
from simulator.serving.answer import ServingAnswer, serve, serving_document
from simulator.serving.metrics import Slo
from simulator.serving.replay import Progress
from simulator.serving.tables_out import check_table_format, write_tables
from workloads.traffic.sources import MADE_REQUESTS, traffic_of

_TELL_EVERY_S = 2.0

ScenarioArgument = Annotated[str, typer.Argument(metavar="SCENARIO", help="A shipped scenario's name, or a TOML file.")]
RequestsOption = Annotated[
    str, typer.Option("--requests", metavar="FILE|LAW:RATE", help="A trace's file, or a law such as poisson:4.")
]
CountOption = Annotated[int | None, typer.Option("--count", metavar="N", help="The first N requests only.")]
PromptOption = Annotated[str, typer.Option("--prompt", metavar="LAW", help="Prompt lengths of a law's requests.")]
OutputOption = Annotated[str, typer.Option("--output", metavar="LAW", help="Output lengths of a law's requests.")]
ScaleOption = Annotated[float, typer.Option("--rate-scale", metavar="X", help="Requests come X times as fast.")]
UntilOption = Annotated[float, typer.Option("--until", metavar="S", help="Stop the clock after S seconds.")]
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
    slo: SloOption = "",
    settings: SetOption = None,
    out_dir: OutOption = None,
    table_format: FormatOption = "csv",
    as_json: JsonOption = False,
    report: ReportOption = None,
    trace: TraceOption = None,
) -> None:
    """Replay requests on replicas of a scenario: latencies, throughput, goodput, cost, and whether it keeps up."""
    with faults_to_exit_code():
        promised = parse_slo(slo)
        check_table_format(table_format)
        check_writable(
            {"--report": report, "--trace": trace, "--out": None if out_dir and out_dir.is_dir() else out_dir}
        )
        loaded = load_scenario(scenario, settings or [])
        stream = traffic_of(
            requests, rate_scale=rate_scale, n_requests=count, seed=loaded.seed, prompt=prompt, output=output
        )
        total = count or (None if Path(requests).is_file() else MADE_REQUESTS)
        with _telling(total) as tell:
            answer = serve(loaded, stream, slo=promised, until_s=until, on_progress=tell)
        _write(context.obj, answer, out_dir=out_dir, table_format=table_format, report=report, trace=trace)
        if as_json:
            print_json({"version": context.obj("__version__"), **serving_document(answer)})
        else:
            _show(answer)


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


def parse_slo(text: str) -> Slo:
    """Return the promise that `ttft=2s,tpot=50ms` spells; InputFaults for anything else."""
    found: dict[str, float] = {}
    for part in text.split(",") if text else []:
        name, _, value = part.strip().partition("=")
        scale = 1e-3 if value.endswith("ms") else 1.0
        try:
            found[f"{name}_s"] = float(value.removesuffix("ms").removesuffix("s")) * scale
        except ValueError:
            found["?"] = 0.0
    if not set(found) <= {"ttft_s", "tpot_s"} or any(not 0.0 < limit < float("inf") for limit in found.values()):
        allowed, remedy = "ttft=TIME,tpot=TIME, such as ttft=2s,tpot=50ms", "write a number with s or ms for each"
        raise InputFaults([Fault(field="--slo", got=repr(text), allowed=allowed, remedy=remedy)])
    return Slo(**found)


@contextmanager
def _telling(total: int | None) -> Iterator[Callable[[Progress], None] | None]:
    """Say on a terminal, every other second, how far the replay has come and how long it will still take."""
    if not err.is_terminal:
        yield None
        return
    began_s = last_s = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s < _TELL_EVERY_S:
            return
        last_s = now_s
        left = ""
        if total:
            left_s = (now_s - began_s) * (total - progress.n_arrived) / progress.n_arrived
            left = f" of {total:,}, {left_s:.0f} s left"
        err.print(f"{progress.n_arrived:,} requests{left}; {progress.n_done:,} done by {progress.time_s:,.0f} s; "
                  f"TTFT so far {time_text(progress.mean_ttft_s)}", markup=False)  # fmt: skip

    yield tell


_LATENCIES = {"ttft_s": "TTFT", "tpot_s": "TPOT", "itl_s": "ITL", "e2e_s": "end to end"}


def _show(answer: ServingAnswer) -> None:
    m, deployed, error = answer.metrics, answer.deployment, answer.error
    knobs = deployed.knobs
    out.print(
        f"{m['verdict']}: {m['n_done']:,} of {m['n_requests']:,} requests done, {m['n_rejected']:,} rejected, in "
        f"{time_text(m['elapsed_s'])}; {deployed.n_replicas} × {knobs.name} {knobs.version} on {deployed.n_gpus} GPUs, "
        f"{deployed.kv_blocks:,} KV blocks of {knobs.block_tokens} tokens per attention group", markup=False,
    )  # fmt: skip
    table = Table("latency", "mean", "p50", "p90", "p99")
    for name, title in _LATENCIES.items():
        table.add_row(title, *(time_text(value) for value in m[name].values()))
    out.print(table)
    for sentence in _sentences(m):
        out.print(sentence, markup=False)
    out.print(
        f"step times: {error.median:.2%} median, {error.worst:.2%} worst interpolation error over {error.n_steps} "
        f"steps computed exactly", markup=False,
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
