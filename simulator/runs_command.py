"""The command that looks into a store of runs: lists, filters, compares two, exports."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hw_profiles.faults import Fault, InputFaults, unknown_word
from simulator.console import JsonOption, check_writable, err, faults_to_exit_code, out, print_json, print_rows, writing
from simulator.differences import difference_parts
from simulator.plain import flat
from simulator.report.before_after import before_after_table, cause_sentences
from simulator.report.runs_table import KEY_DIGITS, best_runs, headings, runs_table
from simulator.runs_out import check_export, write_runs
from simulator.scenario import parse_value
from simulator.store import Condition, Store, open_store
from simulator.stored_run import StoredRun, answer_of

_OF_THE_RUN = ("key", "kind", "code", "name", "feasible", "reason")
_MOST_SHOWN = 50

StoreArgument = Annotated[Path, typer.Argument(metavar="STORE", help="A file that longsim sweep --store wrote.")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="KEY=VALUE", help="Only runs whose scenario has this value; repeatable."),
]
SweepOption = Annotated[str, typer.Option("--sweep", metavar="NAME", help="Only the runs of this sweep.")]
CompareOption = Annotated[
    tuple[str, str] | None, typer.Option("--compare", metavar="RUN RUN", help="Two runs, by the start of their keys.")
]
FileOption = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Export as .csv, .parquet or .json.")]


def runs(
    context: typer.Context,
    store: StoreArgument,
    where: WhereOption = None,
    sweep: SweepOption = "",
    compare: CompareOption = None,
    out_file: FileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs of a store, the best first, filter them, say why two of them differ, or export them."""
    with faults_to_exit_code():
        check_writable({"--out": out_file})
        if out_file is not None:
            check_export(out_file)
        with open_store(store, reads_only=True) as opened:
            if compare is not None:
                first, second = (_run_of(opened, start) for start in compare)
                _compare(first, second, as_json=as_json, version=context.obj("__version__"))
                return
            _check_sweep(opened, sweep)
            conditions = _conditions(opened, where or [])
            if out_file is not None:
                with writing("--out", out_file):
                    write_runs(lambda: opened.runs(conditions, sweep=sweep), out_file)
                err.print(f"runs: {out_file}", markup=False)
            elif as_json:
                rows = [asdict(run) for run in opened.runs(conditions, sweep=sweep)]
                print_json({"version": context.obj("__version__"), "runs": rows})
            else:
                _show(opened, conditions, sweep)


def _check_sweep(store: Store, name: str) -> None:
    if name and not store.has_sweep(name):
        raise InputFaults([unknown_word("--sweep", name, [row[0] for row in store.sweeps()])])


def _conditions(store: Store, texts: Sequence[str]) -> list[Condition]:
    """What `--where` texts ask for; InputFaults for one that is none, and for keys that no run has."""
    known: set[str] = set()
    if texts:
        known = {key for run in store.runs() for key in flat(run.scenario)}
    found, faults = [], []
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key:
            faults.append(Fault(field="--where", got=repr(text), allowed="KEY=VALUE, such as layout.ep=64",
                                remedy="write the key, an equals sign, a value"))  # fmt: skip
        elif key in _OF_THE_RUN:
            found.append(Condition(column=key, path=(), value=_value(key, value)))
        elif key in known:
            found.append(Condition(column="scenario", path=_path(key), value=parse_value(value)))
        else:
            faults.append(unknown_word("--where", key, sorted(known | set(_OF_THE_RUN))))
    if faults:
        raise InputFaults(faults)
    return found


def _value(key: str, text: str) -> object:
    return parse_value(text) if key == "feasible" else text


def _path(key: str) -> Sequence[str]:
    """The keys of tables on the way; names of figures that are overridden have dots of their own."""
    table, _, name = key.partition(".")
    return (table, name) if table in {"machine_overrides", "model_overrides"} else key.split(".")


def _run_of(store: Store, start: str) -> StoredRun:
    keys = store.keys_like(start)
    if len(keys) != 1:
        got = f"{start!r}, which " + (f"{len(keys)} or more keys start with" if keys else "no key starts with")
        allowed = ", ".join(key[: max(KEY_DIGITS, len(start) + 2)] for key in keys) or "the start of a run's key"
        raise InputFaults([Fault(field="--compare", got=got, allowed=allowed, remedy="longsim runs STORE lists them")])
    return next(iter(store.runs([Condition(column="key", path=(), value=keys[0])])))


def _compare(first: StoredRun, second: StoredRun, *, as_json: bool, version: str) -> None:
    if first.kind != second.kind:
        raise InputFaults([Fault(field="--compare", got=f"a {first.kind} and a {second.kind}",
                                 allowed="two of a kind", remedy="choose another")])  # fmt: skip
    if as_json:
        print_json({"version": version, "runs": [asdict(first), asdict(second)], "parts": parts_of(first, second)})
        return
    table = before_after_table(first, second)
    print_rows(table, {"name": "", "before": first.name, "after": second.name, "change": "change"})
    for sentence in cause_sentences(first, second):
        out.print(sentence, markup=False)


def parts_of(before: StoredRun, after: StoredRun) -> list[dict[str, object]]:
    """Return the parts of the difference of two steps, as JSON data; none of replays, or where one cannot run."""
    if before.kind != "step" or not (before.feasible and after.feasible):
        return []
    return [asdict(part) for part in difference_parts(answer_of(before), answer_of(after))]


def _show(store: Store, conditions: Sequence[Condition], sweep: str) -> None:
    for name, title, n, done in store.sweeps():
        if sweep in {"", name}:
            out.print(f"sweep {name}: {done:,} of {n:,} of {title}", markup=False)
    for kind in ("step", "replay"):
        _show_kind(store.runs([*conditions, Condition(column="kind", path=(), value=kind)], sweep=sweep), kind)


def _show_kind(found: Iterable[StoredRun], kind: str) -> None:
    n = 0

    def counted() -> Iterable[StoredRun]:
        nonlocal n
        for run in found:
            n += 1
            yield run

    best = best_runs(counted(), _MOST_SHOWN)
    if best:
        print_rows(runs_table(best, kind), headings(kind))
    if n > len(best):
        out.print(f"{n - len(best):,} more: narrow them with --where, or export all with --out", markup=False)
