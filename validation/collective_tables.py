"""Measured tables of collectives beside the shipped curves: held-out rows inside the fit, and whole sizes left out.

Leaving out means a refit on all rows but those of one size (node count, or group size), which are then predicted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hw_profiles.curves.all_to_all import RANKS_PER_NODE
from hw_profiles.curves.records import AnyCurve, from_record
from hw_profiles.faults import Fault, InputFaults
from validation.calibrate import Group, find_table, fit_group, groups_of, log_errors, sound
from validation.collective_rows import CollectiveRow
from validation.families import Family
from validation.transfer_families import COLLECTIVES, DEEPEP_LOW_LATENCY, DEEPEP_NORMAL, GB200_ALLTOALL

Facts = Mapping[str, Any]
NORMAL = DEEPEP_NORMAL.name


@dataclass(frozen=True, kw_only=True)
class TableJudgement:
    """A table to judge: its rows of `machine` whose group begins with `groups`, and the column of the size to leave
    out, in turn each but the smallest (without which nothing tells what the sizes have in common)."""

    family: Family
    machine: str
    groups: str
    size: str


TABLES = (
    TableJudgement(family=DEEPEP_LOW_LATENCY, machine="h100_sxm", groups="", size="ep"),
    TableJudgement(family=DEEPEP_NORMAL, machine="h100_sxm", groups="", size="nodes"),
    TableJudgement(family=GB200_ALLTOALL, machine="gb200_nvl72", groups="NVLinkOneSided", size="moe_ep_size"),
    TableJudgement(family=COLLECTIVES, machine="h100_sxm", groups="nccl", size="num_gpus"),
)


def table_rows(data: Path, facts: Facts, fitted: Mapping[str, Any]) -> Iterator[CollectiveRow]:
    """Yield the judged rows of every table under `data`; InputFaults naming every table that is not there."""
    paths = {table.family.name: find_table(data, table.family.table.file) for table in TABLES}
    missing = [table.family.table.file for table in TABLES if paths[table.family.name] is None]
    if missing:
        raise InputFaults([Fault(field=f"--data: {file}", got=f"no such file under {data}", allowed="the table",
                                 remedy="name the directory of the published tables") for file in missing])  # fmt: skip
    for table in TABLES:
        path = paths[table.family.name]
        assert path is not None
        for group in groups_of(table.family, path):
            if group.machine == table.machine and group.name.startswith(table.groups):
                yield from inside_rows(table, group, facts, fitted)
                yield from left_out_rows(table, group, facts)


def inside_rows(
    table: TableJudgement, group: Group, facts: Facts, fitted: Mapping[str, Any]
) -> Iterator[CollectiveRow]:
    """Yield held-out rows within the measured range of the shipped curve, by that curve."""
    record = fitted[group.machine]["families"][group.family.name][group.name]
    rows = sound(group.rows)
    held = rows[rows["split"] != "train"]
    within = pd.Series(data=True, index=held.index)
    for axis, (low, high) in record["range"].items():
        within &= held[axis].between(low, high)
    sizes = rows[rows["split"] == "train"][table.size].unique()
    held = held[within & held[table.size].isin(sizes)]
    yield from _rows(table, group, held, from_record(record), facts, in_range=True)


def left_out_rows(table: TableJudgement, group: Group, facts: Facts) -> Iterator[CollectiveRow]:
    """Yield all rows of each size that is left out, by a curve fitted on the others."""
    rows = sound(group.rows)
    for size in sorted(rows[table.size].unique())[1:]:
        held = rows[rows[table.size] == size]
        yield from _rows(table, group, held, fit_group(group, rows.drop(held.index)), facts, in_range=False)


def _rows(
    table: TableJudgement, group: Group, held: pd.DataFrame, curve: AnyCurve, facts: Facts, *, in_range: bool
) -> Iterator[CollectiveRow]:
    if held.empty:
        return
    predicted_us = np.exp(log_errors(group, held, curve)) * held["seconds"].to_numpy() * 1e6
    columns = list(dict.fromkeys([*group.family.table.site, *group.family.table.shape]))
    for (_, row), predicted in zip(held.iterrows(), predicted_us, strict=True):
        large = table.family.name == NORMAL and row["tokens_per_rank"] > facts["bars"]["large_tokens"]
        where = "" if in_range else f", {_size(table, row)} left out"
        band = ("" if table.family.name != NORMAL else ", large" if large else ", small") + where
        yield CollectiveRow(
            group=f"{table.machine} {group.family.name} {group.name}{band}",
            what=", ".join(f"{name}={row[name]:g}" for name in columns), predicted=float(predicted),
            measured=float(row["seconds"] * 1e6), unit="us", source=group.family.table.file, in_range=in_range,
            bar=_bar(facts["bars"], group.family.name, in_range=in_range, large=large),
        )  # fmt: skip


def _size(table: TableJudgement, row: "pd.Series[Any]") -> str:
    """The size that was left out in words; expert-parallel groups of DeepEP are whole nodes."""
    count = int(row[table.size])
    nodes = {"ep": count // RANKS_PER_NODE, "nodes": count}.get(table.size)
    return f"{nodes} nodes" if nodes else f"{count} GPUs"


def _bar(bars: Facts, family: str, *, in_range: bool, large: bool) -> float:
    inside = "low_latency" if family == DEEPEP_LOW_LATENCY.name else "other"
    return float(bars[inside if in_range else "left_out_normal" if large else "left_out"])
