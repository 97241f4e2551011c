"""A study from start to end: train every arm with every seed, write records, results and the page."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from simulator.report.replacing import replacing
from simulator.report.study_page import write_study_page
from validation.studies.plan import quick
from validation.studies.runs import Run, train
from validation.studies.study import Study, panels, results, verdicts
from workloads.routing_trace import write_routing_trace

SEEDS = (1, 2, 3)
"""Seed 0 served to choose learning rate, mu and the like; it judges nothing."""
TRACE_BATCHES = 8
HEADINGS = {
    "arm": "arm", "quantity": "quantity", "layer": "layer", "statistic": "statistic", "mean": "mean", "low": "least",
    "high": "most", "n_seeds": "seeds",
}  # fmt: skip

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Conducted:
    """Results (study.RESULT_COLUMNS) and verdicts of a study."""

    results: pd.DataFrame
    verdicts: pd.DataFrame


def shortened(study: Study) -> Study:
    """Return the study on runs of seconds, without its bars: the code path, not the finding."""
    return replace(study, arms={name: quick(plan) for name, plan in study.arms.items()}, bars=())


def conduct(study: Study, folder: Path, seeds: tuple[int, ...], tell: Progress) -> Conducted:
    """Run `study` into `folder`: records.csv, results.csv, NAME.html, traces/, and in runs/ checkpoints, from which a
    later call goes on. `tell` hears steps done, of how many, and which run is under way."""
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    records, done = list[pd.DataFrame](), 0
    n_steps = len(seeds) * sum(plan.n_steps for plan in study.arms.values())
    for number, (arm, plan) in enumerate(study.arms.items()):
        for seed in seeds:
            label = f"{arm}, seed {seed}"

            def heard(steps: int, before: int = done, label: str = label) -> None:
                tell(before + steps, n_steps, label)

            run = train(plan, seed, folder / "runs" / f"{number}-{seed}.pt", heard)
            records.append(run.record.assign(arm=arm, seed=seed))
            if seed == seeds[0]:
                _record(study, arm, run, folder / "traces")
            done += plan.n_steps
            tell(done, n_steps, label)
    table = pd.concat(records, ignore_index=True)
    found = Conducted(results=results(study, table), verdicts=verdicts(study, table))
    _write(study, folder, table, found)
    return found


def _record(study: Study, arm: str, run: Run, folder: Path) -> None:
    """Write the routing traces that the study records of this arm."""
    for name in (name for name, recorded in study.traces.items() if recorded == arm):
        folder.mkdir(exist_ok=True)
        write_routing_trace(run.training.record(TRACE_BATCHES), folder / f"{name}.npz")


def _write(study: Study, folder: Path, records: pd.DataFrame, found: Conducted) -> None:
    columns = ["arm", "seed", "step", "layer", "of", "quantity", "value"]
    for name, table in (("records", records[columns]), ("results", found.results)):
        with replacing(folder / f"{name}.csv") as file:
            table.to_csv(file, index=False, float_format="%.6g")
    write_study_page(
        folder / f"{study.name}.html", title=study.title, question=study.question, panels=panels(study, records),
        results=texts(found.results), headings=HEADINGS, shows=[*study.shows, *judged(found.verdicts)],
        cannot=study.cannot, made=f"Made by: longsim study {study.name}. Records of every run stand in records.csv.",
    )  # fmt: skip


def judged(verdicts: pd.DataFrame) -> list[str]:
    """Return one sentence per bar and layer: the worst seed, the target, met or missed."""
    return [
        f"{row.arm}, layer {row.layer}: {row.quantity} {row.worst:.4g} in the worst seed, target {row.target:g} within "
        f"{row.tolerance:.0%}: {'met' if row.ok else 'missed'}."
        for row in verdicts.itertuples()
    ]


def texts(table: pd.DataFrame) -> pd.DataFrame:
    """Return results as texts: what is of a class or domain named with its quantity, all layers as a dash."""
    quantity = [name if not of else f"{name} ({of})" for name, of in zip(table["quantity"], table["of"], strict=True)]
    layer = ["mean" if layer < 0 else str(layer) for layer in table["layer"]]
    numbers = {name: table[name].map("{:.4g}".format) for name in ("mean", "low", "high")}
    return table.assign(quantity=quantity, layer=layer, n_seeds=table["n_seeds"].astype(str), **numbers)
