"""The command that sweeps: many combinations, into a store that outlives whatever ends it."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from hw_profiles.faults import Fault, InputFaults
from simulator.candidates import axes_of
from simulator.console import (
    ANSWERED,
    BAD_INPUT,
    INTERRUPTED,
    MISSED_BAR,
    JsonOption,
    Resolve,
    ScenarioArgument,
    SetOption,
    check_writable,
    err,
    faults_to_exit_code,
    first_interrupt,
    out,
    print_json,
    print_rows,
)
from simulator.jobs import Solve, in_processes, one_by_one
from simulator.processes import n_processors
from simulator.report.runs_table import best_runs, headings, runs_table
from simulator.store import Store, open_store
from simulator.sweep_runs import MOST_RUNS, Sweep, Tally, already_begun, check_axes, run_sweep
from simulator.sweep_watch import SweepWatch
from simulator.traffic_options import (
    CountOption,
    OutputOption,
    PromptOption,
    ReplayedOption,
    ScaleOption,
    SloOption,
    traffic_tables,
)

_WORTH_A_PROCESS = {"step": 6, "replay": 1}  # runs: half a second of imports against some tenths, or some seconds, each
_MOST_SHOWN = 20
_MOST_REASONS = 5

VaryOption = Annotated[
    list[str], typer.Option("--vary", metavar="KEY=A,B,C", help="Values of one key to sweep over; repeatable.")
]
StoreOption = Annotated[Path, typer.Option("--store", metavar="FILE.sqlite", help="Where runs are kept.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with a sweep that the store has begun.")]
WorkersOption = Annotated[int | None, typer.Option("--workers", metavar="N", min=1, help="Processes of this machine.")]
ClusterOption = Annotated[
    str, typer.Option("--cluster", metavar="tcp://HOST:PORT", help="Run on the workers of this dask scheduler.")
]
ProgressOption = Annotated[bool, typer.Option("--progress/--no-progress", help="Say on stderr how far it is.")]


def sweep(
    context: typer.Context,
    scenario: ScenarioArgument,
    vary: VaryOption,
    store: StoreOption,
    resume: ResumeOption = False,
    settings: SetOption = None,
    workers: WorkersOption = None,
    cluster: ClusterOption = "",
    requests: ReplayedOption = "",
    count: CountOption = None,
    prompt: PromptOption = None,
    output: OutputOption = None,
    rate_scale: ScaleOption = None,
    slo: SloOption = "",
    progress: ProgressOption = True,
    as_json: JsonOption = False,
) -> None:
    """Run every combination of the varied keys into a store: nothing twice, nothing finished lost. With --requests each
    is a replay, else one step."""
    with faults_to_exit_code():
        check_writable({"--store": store})
        asked = Sweep(
            scenario=scenario, axes=axes_of(vary, settings or [], most=MOST_RUNS), settings=settings or [],
            traffic=traffic_tables(requests, count=count, prompt=prompt, output=output, rate_scale=rate_scale, slo=slo),
        )  # fmt: skip
        check_axes(asked)
        solve = _solver(context.obj, asked, workers=workers, cluster=cluster)
        with open_store(store) as opened, first_interrupt() as interrupted:
            if opened.has_sweep(asked.name) and not resume:
                raise InputFaults([already_begun(asked)])
            watch = SweepWatch(tells=progress, interrupted=interrupted)
            tally = run_sweep(opened, asked, solve, watch)
            _say(tally, asked, store)
            if as_json:
                print_json({"version": context.obj("__version__"), **_document(opened, asked, tally)})
            else:
                _show(opened, asked)
    raise typer.Exit(_exit_code(tally, stopped=watch.stopped))


def _solver(resolve: Resolve, asked: Sweep, *, workers: int | None, cluster: str) -> Solve:
    if cluster and workers is not None:
        raise InputFaults([Fault(field="--workers", got=f"{workers} beside --cluster", allowed="one of the two",
                                 remedy="the cluster's workers are started with dask's own commands")])  # fmt: skip
    if cluster:
        return partial(resolve("on_cluster"), address=cluster)
    worth = _WORTH_A_PROCESS["replay" if asked.traffic else "step"]
    n = min(n_processors(), asked.n // worth) if workers is None else workers
    return partial(in_processes, n_workers=n) if n > 1 else one_by_one


def _exit_code(tally: Tally, *, stopped: bool) -> int:
    if stopped:
        return INTERRUPTED
    if tally.refused == tally.n:
        return BAD_INPUT
    return MISSED_BAR if tally.failures else ANSWERED


def _say(tally: Tally, asked: Sweep, store: Path) -> None:
    err.print(
        f"sweep {asked.name} in {store}: {tally.computed:,} runs computed, {tally.stored:,} there before or twice, "
        f"{tally.refused:,} refused, {len(tally.failures):,} failed, {tally.n - tally.done:,} left", markup=False,
    )  # fmt: skip
    for name, failure in list(tally.failures.items())[:_MOST_REASONS]:
        err.print(f"{name}: {failure}; not stored: --resume tries again", markup=False)


def _document(store: Store, asked: Sweep, tally: Tally) -> dict[str, Any]:
    rows = [
        {
            "set": member.chosen,
            "key": member.key,
            "feasible": run is not None and run.feasible,
            "reason": run.reason if run else member.reason,
            "metrics": run.metrics if run else {},
        }
        for member, run in store.members(asked.name)
    ]
    return {"sweep": asked.name, "vary": list(asked.axes), "rows": rows, "failures": tally.failures}


def _show(store: Store, asked: Sweep) -> None:
    kind = "replay" if asked.traffic else "step"
    named = (replace(run, name=member.name) for member, run in store.members(asked.name) if run)
    best = best_runs(named, _MOST_SHOWN)
    print_rows(runs_table(best, kind), headings(kind))
    reasons = {member.reason: member.name for member, _ in store.members(asked.name) if member.reason}
    for reason, name in list(reasons.items())[:_MOST_REASONS]:
        out.print(f"{name} cannot run: {reason}", markup=False)
