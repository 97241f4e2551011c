"""Kernels and collectives: the shipped curves judged on every row of measured tables, group by group."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hw_profiles.faults import Fault, InputFaults
from validation.bars import Bar, read_bars, verdict
from validation.calibrate import PROFILES_DIR
from validation.judged_rows import FITTED_ON, UNSEEN, judged_rows
from validation.kernels import NOISE_FLOOR, read_fitted
from validation.known_tables import KnownTable, find_known_tables

WORST_ROWS = 20
NO_FAMILY = "no curve takes this kind of row"
HELD_OUT = "this file is a source of the fit: held-out rows are judged (points and whole sites), the others counted"
NEVER_SEEN = "this file is no source of the fit: every row is judged"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Every row with its prediction, and the document that sums them up."""

    rows: pd.DataFrame
    document: dict[str, Any]


def judge_kernels(data: Path, *, by: str = "") -> Judgement:
    """Judge the known tables of `data` with the shipped fitted.json; `by`: a column to group by, as the file spells it.

    Raises InputFaults where nothing is known, a table cannot be read, or no table has the column.
    """
    inventory = find_known_tables(data)
    fitted = read_fitted(PROFILES_DIR)
    parts = [_rows_of(table, fitted, by) for table in inventory.tables]
    rows = pd.concat(parts, ignore_index=True)
    if by and rows["group"].isna().all():
        columns = sorted({column for table in inventory.tables for column in table.families[0].table.columns})
        raise InputFaults([Fault(field="--by", got=repr(by), allowed=", ".join(columns) + " or another column",
                                 remedy="name a column of the tables")])  # fmt: skip
    skipped = [*inventory.skipped, *_without_column(rows, by), *_uncovered(rows)]
    return Judgement(rows=rows, document=_document(rows.dropna(subset="group"), skipped, by))


def _rows_of(table: KnownTable, fitted: dict[str, Any], by: str) -> pd.DataFrame:
    """The judged rows of one file with `file`, and `group`: the bare value of `by`, None where there is no such column.

    Rows of the file that no family takes are there with the reason in `uncovered`.
    """
    raw = pd.read_csv(table.path, dtype=str, keep_default_na=False)
    parts = [judged_rows(family, table.path, fitted) for family in table.families]
    seen = set().union(*(part["file_row"] for part in parts))
    rest = [row for row in range(len(raw)) if row not in seen]
    left = pd.DataFrame({"file_row": rest}).assign(
        table=Path(table.families[0].table.file).stem, fault="", split=UNSEEN, uncovered=NO_FAMILY
    )
    rows = pd.concat([part for part in (*parts, left) if not part.empty], ignore_index=True).assign(
        file=table.path.name
    )
    if by in raw:
        return rows.assign(group=raw[by].to_numpy()[rows["file_row"]])
    if by:
        return rows.assign(group=rows[by].astype(str) if by in rows else None)
    named = rows["system"].fillna("") + "|" + rows["curve"].fillna("") + "|" + rows["band"].fillna("")
    return rows.assign(group=named.str.strip("|"))


def _without_column(rows: pd.DataFrame, by: str) -> Iterator[dict[str, Any]]:
    for file, part in rows[rows["group"].isna()].groupby("file"):
        yield {"file": file, "n": len(part), "reason": f"no column {by}"}


def _uncovered(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows that no shipped curve covers, and rows of the file that belong to no family, are said and counted."""
    for (file, reason), part in rows[rows["uncovered"] != ""].groupby(["file", "uncovered"]):
        yield {"file": file, "n": len(part), "reason": reason}


def _document(rows: pd.DataFrame, skipped: Sequence[dict[str, Any]], by: str) -> dict[str, Any]:
    keys = ["table", "group"] if by else ["table", "family", "curve", "group", "split"]
    covered = rows[rows["uncovered"] == ""]
    judged = covered if by else covered[covered["split"] != FITTED_ON]
    bars = read_bars()
    tables = [_summed(part, bars) for _, part in judged.groupby(keys, sort=True, dropna=False)]
    return {
        "suite": "kernels",
        "tables": [row for row in tables if row["n"] or row["refused"]],
        "worst": list(_worst(covered)),
        "refused": list(_refused(covered)),
        "skipped": list(skipped),
        "notes": [
            {"file": file, "text": NEVER_SEEN if (part["split"] == UNSEEN).all() else HELD_OUT}
            for file, part in rows.groupby("file", sort=True)
        ],
        "summary": _summary(covered, tables),
    }


def _held(rows: pd.DataFrame) -> pd.DataFrame:
    """The sound rows that no fit has seen."""
    return rows[(rows["fault"] == "") & (rows["split"] != FITTED_ON)]


def _summed(rows: pd.DataFrame, bars: Sequence[Bar]) -> dict[str, Any]:
    """One group: sizes and errors of its sound, unseen rows; refused ones counted, and scored apart."""
    held, refused = _held(rows), rows[(rows["fault"] != "") & (rows["split"] != FITTED_ON)]
    noise, _ = NOISE_FLOOR.get(str(rows["family"].iloc[0]), (None, None))
    row = {
        **{name: _only(rows, name) for name in ("table", "group", "family", "curve", "system", "machine")},
        **{name: _only(rows, name) for name in ("backend", "dtype", "band", "split")},
        **errors_of(held["error"]),
        "extrapolated": int(held["extrapolated"].sum()),
        "refused": len(refused),
        "refused_median": _median(refused["error"].dropna().abs()),
        "fitted": int((rows["split"] == FITTED_ON).sum()),
        "baseline_median": _median(held["baseline_error"].dropna().abs()),
        "noise_median": noise,
    }
    return row | verdict(bars, row)


def errors_of(errors: "pd.Series[float]") -> dict[str, Any]:
    """Return size, median and 90th percentile of the absolute error, and the median signed error (fractions)."""
    if errors.empty:
        return {"n": 0, "median": None, "p90": None, "bias": None}
    absolute = errors.abs()
    return {"n": len(errors), "median": float(absolute.median()), "p90": float(np.quantile(absolute, 0.9)),
            "bias": float(errors.median())}  # fmt: skip


def _only(rows: pd.DataFrame, column: str) -> str | None:
    """The value that all rows share, None where they differ."""
    values = rows[column].unique()
    return str(values[0]) if len(values) == 1 else None


def _median(values: "pd.Series[float]") -> float | None:
    return float(values.median()) if len(values) else None


def _worst(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    held = _held(rows)
    for index in held["error"].abs().sort_values(ascending=False, kind="stable").index[:WORST_ROWS]:
        yield _told(held.loc[index]) | {"extrapolated": bool(held.loc[index, "extrapolated"])}


def _refused(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for _, row in rows[rows["fault"] != ""].iterrows():
        yield _told(row) | {"reason": row["fault"]}


def _told(row: "pd.Series[Any]") -> dict[str, Any]:
    told = {name: str(row[name]) for name in ("table", "group", "shape", "split")}
    seconds = {name: float(row[name]) for name in ("measured_s", "predicted_s", "error")}
    return {**told, "row": int(row["file_row"]) + 1, **seconds}


def _summary(rows: pd.DataFrame, tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    held = _held(rows)
    verdicts = [row["ok"] for row in tables if row["ok"] is not None]
    by_table = {str(table): errors_of(part["error"]) for table, part in held.groupby("table", sort=True)}
    return {
        **errors_of(held["error"]), "extrapolated": int(held["extrapolated"].sum()),
        "refused": int((rows["fault"] != "").sum()), "fitted": int((rows["split"] == FITTED_ON).sum()),
        "n_bars": len(verdicts), "n_ok": sum(verdicts), "by_table": by_table,
    }  # fmt: skip
