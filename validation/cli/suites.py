"""The suites by name: how each one is judged and shown, and what it may be told."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hw_profiles.faults import Fault, InputFaults, unknown_word
from simulator.console import Resolve, check_writable, err, writing
from simulator.report.residuals import write_residuals
from simulator.report.serving_overlay import write_overlays
from simulator.report.side_by_side import side_by_side
from validation.cli.shown import (
    layer_words,
    show_collectives,
    show_kernels,
    show_layers,
    show_live,
    show_rows,
    show_serving,
)
from validation.clusters.longcat import NAME as LONGCAT
from validation.clusters.longcat import longcat_part
from validation.clusters.parts import part_document
from validation.known_tables import default_data, tables_path
from validation.suites.balance import balance_document
from validation.suites.clusters import PARTS, clusters_document, joined
from validation.suites.collectives import collectives_document
from validation.suites.kernels import judge_kernels, residuals_of
from validation.suites.layers import layer_trace, layers_document
from validation.suites.published import published_document
from validation.suites.scmoe import scmoe_document
from validation.suites.serving import RECORDED_RUNS, compare_runs, overlays, run_folders, serving_document
from validation.suites.theory import theory_document

DEFAULT_RANKS = 2
Document = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a suite may be told."""

    data: Path | None = None
    by: str = ""
    points: Path | None = None
    profile: str = ""
    measured: Path | None = None
    trace: Path | None = None
    ranks: int = 0
    link: str = ""
    device: str = ""
    machine: str = ""
    out: Path | None = None
    report: Path | None = None
    run: Path | None = None
    part: str = ""
    rows: Path | None = None
    quick: bool = False


@dataclass(frozen=True, kw_only=True)
class Suite:
    """How a suite is judged (with the front door's late look-up at hand) and shown, the options that it knows, and the
    key of the rows that bear a verdict."""

    judge: Callable[[Options, Resolve], Document]
    show: Callable[[Document], None]
    options: tuple[str, ...] = ()
    verdicts: str = "rows"


def _kernels(options: Options, _resolve: Resolve) -> Document:
    check_writable({"--report": options.report})
    judgement = judge_kernels(options.data or default_data(), by=options.by)
    if options.report is not None:
        with writing("--report", options.report):
            write_residuals(residuals_of(judgement), options.report, title="Kernels: predicted and measured")
        err.print(f"report: {options.report}", markup=False)
    return judgement.document


def _serving(options: Options, _resolve: Resolve) -> Document:
    check_writable({"--report": options.report})
    names = _asked_parts(options)
    if options.rows or options.quick:
        part = longcat_part(options.rows, quick=options.quick)
        return {"suite": "serving", **joined([part_document(LONGCAT, part)])}
    data = options.data or default_data()
    documents = [clusters_document([name for name in names if name != RECORDED_RUNS], data)]
    if RECORDED_RUNS in names:
        folders = [options.run] if options.run is not None else run_folders(data)
        comparisons = compare_runs(folders, profile=options.profile, machine=options.machine)
        if options.report is not None:
            with writing("--report", options.report):
                write_overlays(overlays(comparisons), options.report, title="Serving: replayed and recorded")
            err.print(f"report: {options.report}", markup=False)
        documents.insert(0, serving_document(comparisons))
    return {"suite": "serving", **joined(documents)}


def _asked_parts(options: Options) -> list[str]:
    """Return the parts of the suite that were asked for: one by name; the recorded runs alone where something is asked
    that only they know; otherwise all."""
    known = [RECORDED_RUNS, *PARTS]
    if options.part and options.part not in known:
        raise InputFaults([unknown_word("--part", options.part, known)])
    _refuse_beside(options)
    if options.part:
        return [options.part]
    return [RECORDED_RUNS] if options.run or options.report or options.profile or options.machine else known


def _refuse_beside(options: Options) -> None:
    """Refuse `--rows` and `--quick`, which LongCat-Flash's part alone knows, beside what is asked of other parts."""
    foreign = [
        *([f"--part {options.part}"] if options.part not in {"", LONGCAT} else []),
        *(f"--{name}" for name in ("run", "report", "profile", "machine") if getattr(options, name)),
    ]
    own = [f"--{name}" for name in ("rows", "quick") if getattr(options, name)]
    faults = [
        Fault(field=name, got=f"beside {beside}", allowed=f"--part {LONGCAT} alone", remedy="leave one of them out")
        for name in own
        for beside in foreign
    ]
    if faults:
        raise InputFaults(faults)


def _balance(options: Options, _resolve: Resolve) -> Document:
    return balance_document(options.data or tables_path())


def _collectives(options: Options, _resolve: Resolve) -> Document:
    return collectives_document(options.data or default_data())


def _published(options: Options, _resolve: Resolve) -> Document:
    return published_document(options.points or default_data() / "measured" / "published_points.json")


def _layers(options: Options, _resolve: Resolve) -> Document:
    faults = [
        Fault(field=f"--{name}", got="nothing", allowed=allowed, remedy="name it")
        for name, allowed in (("profile", "a profile that `longsim calibrate MEASURED` wrote"),
                              ("measured", "a folder with whole layers that `longsim measure` wrote"))
        if not getattr(options, name)
    ]  # fmt: skip
    if faults:
        raise InputFaults(faults)
    folder = options.measured or Path()
    if options.report and not options.trace:
        raise InputFaults([Fault(field="--report", got="without --trace", allowed="a page for one recorded layer",
                                 remedy="name the trace as well")])  # fmt: skip
    check_writable({"--report": options.report})
    document = layers_document(options.profile, folder)
    if options.trace is None:
        return document
    trace = layer_trace(options.profile, folder, options.trace)
    if options.report is not None:
        with writing("--report", options.report):
            side_by_side(
                trace.measured, trace.simulated, options.report, f"A layer recorded: {layer_words(trace.row.shape)}"
            )
        err.print(f"report: {options.report}", markup=False)
    return {**document, "kinds": trace.kinds}


def _live(options: Options, resolve: Resolve) -> Document:
    with ExitStack() as stack:
        folder = options.out or Path(stack.enter_context(TemporaryDirectory(prefix="longsim-live-")))
        stack.enter_context(writing("--out", folder))
        document: Document = resolve("validate_live")(
            folder, n_ranks=options.ranks or DEFAULT_RANKS, link=options.link, device=options.device or "cpu",
            machine=options.machine, say=lambda line: err.print(line, markup=False),
        )  # fmt: skip
    return document


SUITES: Mapping[str, Suite] = {
    "theory": Suite(judge=lambda *_: theory_document(), show=show_rows),
    "kernels": Suite(judge=_kernels, show=show_kernels, options=("data", "by", "report"), verdicts="tables"),
    "layers": Suite(
        judge=_layers, show=show_layers, options=("profile", "measured", "trace", "report"), verdicts="verdicts"
    ),
    "live": Suite(
        judge=_live, show=show_live, options=("ranks", "link", "device", "machine", "out"), verdicts="verdicts"
    ),
    "balance": Suite(judge=_balance, show=show_rows, options=("data",)),
    "collectives": Suite(judge=_collectives, show=show_collectives, options=("data",), verdicts="groups"),
    "published": Suite(judge=_published, show=show_rows, options=("points",)),
    "serving": Suite(
        judge=_serving,
        show=show_serving,
        options=("data", "run", "profile", "machine", "report", "part", "rows", "quick"),
    ),
    "scmoe": Suite(judge=lambda *_: scmoe_document(), show=show_rows),
}
