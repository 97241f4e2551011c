"""How far curves are from measured rows they never saw: median, p90 and signed error by table and group, beside the
plain log interpolation that aiconfigurator does."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.spatial import QhullError

from hw_profiles.curves.base import FloatArray
from hw_profiles.curves.records import AnyCurve, from_record
from validation.calibrate import FAMILIES, FEWEST_ROWS, Group, find_table, fit_group, groups_of, log_errors, sound
from validation.families import Family
from validation.tables import share_of

# Repeatability of the measurement itself (data README): median, p90, as fractions.
NOISE_FLOOR: Mapping[str, tuple[float, float]] = {
    "gemm": (0.03, 0.14),
    "mla_generation_kernel": (0.005, 0.02),
    "mla_context_kernel": (0.005, 0.02),
}
TRANSFERS = (("h100_sxm", "h200_sxm"), ("h800_sxm", "h20"))
TRANSFER_TABLES = ("gemm", "mla_generation_kernel", "mla_context_kernel", "mla_block", "moe_wideep", "moe_fused",
                   "infersim_gemm_fp8", "infersim_mla_decode", "infersim_grouped_gemm")  # fmt: skip
COLUMNS = [
    "table",
    "machine",
    "group",
    "split",
    "n",
    "median",
    "p90",
    "bias",
    "baseline_median",
    "noise_median",
    "refused",
]


def judge(
    data_dir: Path,
    fitted: Mapping[str, Any] | None = None,
    families: Sequence[Family] = FAMILIES,
    *,
    rotate: bool = True,
) -> pd.DataFrame:
    """Return one row per table × machine × group × split of the held-out rows (errors are fractions).

    split: "point" (a shape held out), "site" (a whole site held out), "rotated" (sites too few to give one away: each
    left out in turn, a refit each; skipped unless `rotate`). `fitted`: {machine: fitted.json}; without it the curves
    are fitted here on the training rows.
    """
    rows = [
        row
        for family in families
        if (path := find_table(data_dir, family.table.file)) is not None
        for group in groups_of(family, path)
        for row in _judged(group, fitted, rotate=rotate)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def judge_transfer(data_dir: Path, families: Sequence[Family] = FAMILIES) -> pd.DataFrame:
    """Return errors on a GPU that no row was fitted on: H100 curves on H200 rows, H800 curves on H20 rows."""
    rows = []
    for family in families:
        path = find_table(data_dir, family.table.file)
        if path is None or family.name not in TRANSFER_TABLES:
            continue
        groups = {(group.machine, group.name): group for group in groups_of(family, path)}
        for seen, unseen in TRANSFERS:
            for name in sorted(name for machine, name in groups if machine == unseen and (seen, name) in groups):
                curve = fit_group(groups[seen, name], sound(groups[seen, name].rows))
                target = sound(groups[unseen, name].rows)
                errors = np.exp(log_errors(groups[unseen, name], target, curve)) - 1.0
                rows.append(
                    {"table": family.name, "machine": unseen, "group": name, "split": f"from {seen}"} | _errors(errors)
                )
    return pd.DataFrame(rows)


def _judged(group: Group, fitted: Mapping[str, Any] | None, *, rotate: bool) -> Iterator[dict[str, Any]]:
    """Rows of one group's judgement."""
    rows = sound(group.rows)
    train = rows[rows["split"] == "train"]
    if len(train) < FEWEST_ROWS:
        return
    curve = _curve(group, train, fitted)
    for split in ("point", "site"):
        held = rows[rows["split"] == split]
        if not held.empty:
            yield _row(group, split, held, log_errors(group, held, curve), baseline_log_errors(group, train, held))
    sites = list(group.family.table.rotate)
    if sites and rotate:
        yield from _rotated(group, rows, sites)


def _rotated(group: Group, rows: pd.DataFrame, sites: list[str]) -> Iterator[dict[str, Any]]:
    """Leave out each site in turn."""
    errors, baseline, held_rows = [], [], []
    for _, held in rows.groupby(sites):
        rest = rows.drop(held.index)
        if len(rest) >= FEWEST_ROWS:
            errors.append(log_errors(group, held, fit_group(group, rest)))
            baseline.append(baseline_log_errors(group, rest, held))
            held_rows.append(held)
    if held_rows:
        yield _row(group, "rotated", pd.concat(held_rows), np.concatenate(errors), np.concatenate(baseline))


def _curve(group: Group, train: pd.DataFrame, fitted: Mapping[str, Any] | None) -> AnyCurve:
    """The shipped curve where there is one, else one fitted here."""
    if fitted is None:
        return fit_group(group, train)
    return from_record(fitted[group.machine]["families"][group.family.name][group.name])


def _row(group: Group, split: str, held: pd.DataFrame, errors: FloatArray, baseline: FloatArray) -> dict[str, Any]:
    noise, _ = NOISE_FLOOR.get(group.family.name, (float("nan"), float("nan")))
    return {
        "table": group.family.name, "machine": group.machine, "group": group.name, "split": split,
        **_errors(np.exp(errors) - 1.0),
        "baseline_median": float(np.median(np.abs(np.exp(baseline) - 1.0))),
        "noise_median": noise, "refused": int((group.rows["fault"] != "").sum()),
    }  # fmt: skip


def _errors(errors: FloatArray) -> dict[str, float]:
    """Size, median and 90th percentile of the absolute error, and the median signed error."""
    absolute = np.abs(errors)
    return {"n": len(errors), "median": float(np.median(absolute)), "p90": float(np.quantile(absolute, 0.9)),
            "bias": float(np.median(errors))}  # fmt: skip


def baseline_log_errors(group: Group, train: pd.DataFrame, held: pd.DataFrame) -> FloatArray:
    """Return the log errors of interpolating log time linearly over the logarithms of the axes; nearest row outside.

    Weaker than aiconfigurator's own nested interpolation: scattered simplices, and text columns (the load's
    distribution) are no axes. Where it is far off, that says little about ours.
    """
    axes = [axis for axis in group.family.axes if train[axis].nunique() > 1]
    spread = np.array([1e-9 * share_of(axis) for axis in axes])  # breaks ties of a regular grid, the same every time
    known, asked = (np.log(rows[axes].to_numpy(dtype=np.float64)) for rows in (train, held))
    seconds = np.log(train["seconds"].to_numpy(dtype=np.float64))
    values = np.asarray(NearestNDInterpolator(known, seconds)(asked), dtype=np.float64)
    if len(axes) == 1:
        order = np.argsort(known[:, 0], kind="stable")
        values = np.interp(asked[:, 0], known[order, 0], seconds[order])
    elif len(axes) <= 3:
        try:
            inside = LinearNDInterpolator(known + spread, seconds)(asked)
            values = np.where(np.isfinite(inside), inside, values)
        except QhullError:  # axes that move together span no volume: the nearest row stands
            pass
    return np.asarray(values - np.log(held["seconds"].to_numpy(dtype=np.float64)))


def read_fitted(folder: Path) -> dict[str, Any]:
    """Return {machine: fitted.json} of every machine directory under `folder`."""
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("*/fitted.json"))}
