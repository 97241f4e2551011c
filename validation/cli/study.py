"""The command that runs studies of the training laws: `longsim study`."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hw_profiles.faults import InputFaults, unknown_word
from simulator.console import (
    ANSWERED,
    MISSED_BAR,
    JsonOption,
    check_folder,
    err,
    faults_to_exit_code,
    out,
    print_json,
    print_rows,
    writing,
)
from validation.studies.catalogue import STUDIES
from validation.studies.conduct import HEADINGS, SEEDS, Conducted, conduct, judged, shortened, texts
from validation.studies.study import Study


def study(
    name: Annotated[str, typer.Argument(metavar="NAME", help=" | ".join(STUDIES))],
    quick: Annotated[
        bool, typer.Option("--quick", help="Seconds instead of minutes; shows the way, not the law.")
    ] = False,
    out_dir: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of tables, page and checkpoints; continued.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train small models under LongCat's training laws: curves, results with spread, one page; exit 1 at a missed bar.

    A study that is stopped goes on where it was when it is started again with the same folder.
    """
    with faults_to_exit_code():
        if name not in STUDIES:
            raise InputFaults([unknown_word("study", name, list(STUDIES))])
        chosen = shortened(STUDIES[name]) if quick else STUDIES[name]
        folder = out_dir or Path("studies") / (f"{name}-quick" if quick else name)
        check_folder("--out", out_dir)
        with writing("--out", folder):
            found = _conducted(chosen, folder, SEEDS[:1] if quick else SEEDS)
        err.print(f"page: {folder / f'{name}.html'}", markup=False)
        if as_json:
            print_json({"study": name, "results": _rows(found.results), "verdicts": _rows(found.verdicts)})
        else:
            print_rows(texts(found.results), HEADINGS)
            for sentence in judged(found.verdicts):
                out.print(sentence, markup=False)
    raise typer.Exit(ANSWERED if found.verdicts["ok"].all() else MISSED_BAR)


def _conducted(chosen: Study, folder: Path, seeds: tuple[int, ...]) -> Conducted:
    """Conduct a study with its progress on stderr: a bar in a terminal, a line per run elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    said = set[str]()
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task(chosen.name, total=None)

        def tell(done: int, n_steps: int, label: str) -> None:
            bar.update(task, completed=done, total=n_steps, description=label)
            if not err.is_terminal and label not in said:
                said.add(label)
                err.print(f"{label}: {done:,} of {n_steps:,} steps", markup=False)

        return conduct(chosen, folder, seeds, tell)


def _rows(table: pd.DataFrame) -> list[dict[str, object]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
