"""Every row of a measured table beside what the shipped curves predict for it."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hw_profiles.curves.base import FloatArray
from hw_profiles.curves.records import from_record
from validation.calibrate import FEWEST_ROWS, SHARED_BY, SHARED_ROWS, Group
from validation.chips import CHIPS
from validation.families import Family
from validation.kernels import baseline_log_errors
from validation.tables import NO_NUMBER, read_table

Fitted = Mapping[str, Mapping[str, Any]]
UNSEEN = "unseen"
FITTED_ON = "train"
SMALL_TOKENS = 128  # issue: DeepEP normal is judged apart up to and above this many tokens per rank
BANDED = ("deepep_normal",)
BACKEND_COLUMNS = ("backend", "impl", "kernel_source", "kernel")
DTYPE_COLUMNS = ("dtype", "comm_dtype", "moe_dtype", "kv_cache_dtype")
COLUMNS = (
    "table", "family", "file_row", "system", "machine", "curve", "backend", "dtype", "band", "split", "fault",
    "uncovered", "extrapolated", "measured_s", "predicted_s", "error", "baseline_error", "shape",
)  # fmt: skip


def judged_rows(family: Family, path: Path, fitted: Fitted) -> pd.DataFrame:
    """Return one row per measured time of `path` (COLUMNS), index 0, 1, …

    `split`: "unseen", or for a file that the curves were fitted on "train", "point", "site". `fault`: why a row is
    refused; `uncovered`: why no curve predicts it (both empty if sound). `error`: predicted/measured - 1; NaN where
    nothing was predicted. `baseline_error`: of plain log interpolation, known for held-out rows alone. Rows of several
    machines at once (hopper_shared) are judged once, with the first machine's curve.
    """
    rows = read_table(family.table, path, keep_bad=True)
    if rows.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    rows["machine"] = rows["machine"].replace(SHARED_ROWS, SHARED_BY[0])
    is_source = hashlib.sha256(path.read_bytes()).hexdigest() in _source_hashes(fitted)
    if not is_source:
        rows["split"] = UNSEEN
    rows.loc[(rows["fault"] != "") & (rows["split"] == FITTED_ON), "split"] = "point"  # faulty rows are never fitted
    parts = [
        _judged(Group(machine=str(machine), family=family, name=str(name), rows=part), fitted)
        for (machine, name), part in rows.groupby(["machine", "group"], sort=True)
    ]
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def _source_hashes(fitted: Fitted) -> set[str]:
    return {digest for machine in fitted.values() for digest in machine["sources"].values()}


def _judged(group: Group, fitted: Fitted) -> pd.DataFrame:
    """The rows of one group, judged where a curve covers it."""
    rows, family = group.rows, group.family
    record = fitted.get(group.machine, {}).get("families", {}).get(family.name, {}).get(group.name)
    judged = rows.assign(
        table=Path(family.table.file).stem, family=family.name, curve=group.name,
        system=rows["system"] if "system" in rows else rows["machine"],
        backend=_first_of(rows, BACKEND_COLUMNS), dtype=_first_of(rows, DTYPE_COLUMNS), band=_band(group),
        uncovered="" if record else f"no fitted curve of {family.name} for {group.machine}, {group.name}",
        extrapolated=_outside(rows, record["range"]) if record else False, measured_s=rows["seconds"],
        predicted_s=np.nan, baseline_error=np.nan, shape=_shapes(family, rows),
    )  # fmt: skip
    numeric = judged["fault"] != NO_NUMBER
    if record and numeric.any():
        curve = from_record(record, where=f"{group.machine}: {family.name}: {group.name}")
        predicted_s = family.predict(rows[numeric], CHIPS[group.machine], curve)
        judged.loc[numeric, "predicted_s"] = np.asarray(predicted_s, dtype=np.float64)
        for index, errors in _baseline(group):
            judged.loc[index, "baseline_error"] = errors
    return judged.assign(error=judged["predicted_s"] / judged["measured_s"] - 1.0)


def _baseline(group: Group) -> Iterator[tuple["pd.Index[int]", FloatArray]]:
    """Errors of plain interpolation between the training rows, for each held-out part."""
    sound = group.rows[group.rows["fault"] == ""]
    train = sound[sound["split"] == FITTED_ON]
    for split in ("point", "site"):
        held = sound[sound["split"] == split]
        if len(train) >= FEWEST_ROWS and not held.empty:
            yield held.index, np.exp(baseline_log_errors(group, train, held)) - 1.0


def _outside(rows: pd.DataFrame, ranges: Mapping[str, tuple[float, float]]) -> "pd.Series[bool]":
    """Which rows lie outside the range that the curve was fitted on, on any axis."""
    outside = pd.Series(data=False, index=rows.index)
    for axis, (low, high) in ranges.items():
        outside |= ~rows[axis].between(low, high)
    return outside


def _first_of(rows: pd.DataFrame, columns: tuple[str, ...]) -> "pd.Series[str]":
    name = next((column for column in columns if column in rows), None)
    return rows[name].astype(str) if name else pd.Series("", index=rows.index, dtype=str)


def _band(group: Group) -> Any:  # noqa: ANN401 (one word or a word per row)
    if group.family.name not in BANDED:
        return ""
    return np.where(group.rows["tokens_per_rank"] <= SMALL_TOKENS, f"<={SMALL_TOKENS}", f">{SMALL_TOKENS}")


def _shapes(family: Family, rows: pd.DataFrame) -> "pd.Series[str]":
    columns = list(dict.fromkeys([*family.table.site, *family.table.shape]))
    return rows[columns].apply(lambda row: ", ".join(f"{name}={row[name]}" for name in columns), axis=1)
