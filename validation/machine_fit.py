"""What a table of own measurements tells of a device: curves of its kernels and collectives, launches, interference.

Whole layers judge the predictions, they never enter a fit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

import numpy as np

from hw_profiles.curves.base import FloatArray
from hw_profiles.curves.kernel import KernelCurve, kernel_s
from hw_profiles.faults import Fault, InputFaults
from hw_profiles.fits.kernel import fit_kernel, refit_kernel
from hw_profiles.fitted import FittedCurve
from validation.measurements import Measurement, shape_text
from validation.tables import share_of

FAMILY = "torch"  # of the curves of own measurements in fitted.json
HELD_OUT_SUITES = frozenset({"layers", "overlap", "emulation", "live_layers"})
N_FOLDS = 5  # every row is judged once, by a curve that has not seen it
FEWEST_ROWS = 3
APART = frozenset({"layer", "launch", "interference", "deepep", "reference"})  # rows that no kernel curve is fitted on
ROW_AXES = ("n", "k")  # a curve of one op holds for the widths that were measured


@dataclass(frozen=True, kw_only=True)
class GroupFit:
    """A fitted group with its standing: its rows, how many were marked as doubtful, and for each row what was
    predicted of it [s], by a curve fitted on four fifths of the others where there are enough (`unseen`)."""

    curve: FittedCurve
    rows: Sequence[Measurement]
    predicted_s: FloatArray
    unseen: bool

    @property
    def n_marked(self) -> int:
        """Rows in doubt: a wide spread, or a device slowed down."""
        return sum(bool(row.marked) for row in self.rows)

    @property
    def log_errors(self) -> FloatArray:
        """log(measured / predicted) of every row."""
        return np.asarray(np.log(np.array([row.median_s for row in self.rows]) / self.predicted_s))


@dataclass(frozen=True, kw_only=True)
class MachineFit:
    """One device: fits by name, "kernel|dtype" over all ops of a kernel and "kernel/op|dtype" for one, collectives with
    "|rN" for their N ranks; seconds per launch by way ("eager", "graph"); pace kept beside something else, by
    "op|dtype" of the interference rows; the groups that were not fitted: too few rows, or amounts that nobody
    counted."""

    device: str
    groups: Mapping[str, GroupFit]
    launch_s: Mapping[str, float]
    pace_kept: Mapping[str, float]
    not_fitted: Sequence[str]

    def flops_per_s(self, kernel: str, dtype: str) -> float | None:
        """Return the FLOP/s that products of a kernel reach; None where none was bound by them."""
        group = self.groups.get(f"{kernel}|{dtype}")
        return group.curve.curve.flops_per_s if group else None

    @property
    def memory_bytes_per_s(self) -> float | None:
        """Bytes/s that a copy moves, reads and writes counted; None where no copy was bound by it."""
        group = self.groups.get("copy|uint8")
        return group.curve.curve.bytes_per_s if group else None


def kernel_rows(rows: Sequence[Measurement]) -> list[Measurement]:
    """Return the rows that kernel curves are fitted on and judged with."""
    return [row for row in rows if row.suite not in HELD_OUT_SUITES and row.kernel not in APART]


def fit_machine(rows: Sequence[Measurement]) -> MachineFit:
    """Return what `rows` of one device tell of it, held-out suites left out; InputFaults where nothing is left to fit
    or several devices are mixed."""
    rows = [row for row in rows if row.suite not in HELD_OUT_SUITES and row.kernel != "layer"]
    devices = sorted({row.device for row in rows})
    if len(devices) != 1:
        raise InputFaults([Fault(field="measurements", got=f"rows to fit of {devices or 'no device'}",
                                 allowed="kernels or collectives of one device",
                                 remedy="measure with --suite quick or full into a folder of its own")])  # fmt: skip
    groups = _groups(kernel_rows(rows))
    fits = {name: _fit(name, group) for name, group in groups.items() if can_be_fitted(group)}
    return MachineFit(
        device=devices[0], groups=fits, launch_s=_launches(rows), pace_kept=_pace_kept(rows),
        not_fitted=[name for name in groups if name not in fits],
    )  # fmt: skip


def can_be_fitted(rows: Sequence[Measurement]) -> bool:
    """Whether there are rows enough, each with an amount of work."""
    return len(rows) >= FEWEST_ROWS and all(row.flops or row.moved_bytes for row in rows)


def amounts(rows: Sequence[Measurement]) -> tuple[FloatArray, FloatArray]:
    """Return FLOPs and bytes of `rows`, padded rows included; an amount that nobody counted binds nothing."""
    flops = [(row.flops or 0.0) * float(row.shape.get("padded", 1.0)) / float(row.shape.get("rows", 1.0))
             if "padded" in row.shape else row.flops or 0.0 for row in rows]  # fmt: skip
    return np.array(flops), np.array([row.moved_bytes or 0.0 for row in rows])


def _groups(rows: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    """Rows by what one fit covers: every op apart, and all ops of a kernel together."""
    named = [(_name(row, f"{row.kernel}/{row.op}"), row) for row in rows]
    named += [(_name(row, row.kernel), row) for row in rows]
    named.sort(key=lambda pair: pair[0])
    return {name: [row for _, row in group] for name, group in groupby(named, key=lambda pair: pair[0])}


def _name(row: Measurement, what: str) -> str:
    ranks = f"|r{row.shape['ranks']}" if "ranks" in row.shape else ""
    return f"{what}|{row.dtype}{ranks}"


def _fit(name: str, rows: Sequence[Measurement]) -> GroupFit:
    curve = fit_rows(rows)
    unseen = len(rows) >= 2 * FEWEST_ROWS
    predicted_s = _unseen_s(rows, curve) if unseen else kernel_s(*amounts(rows), curve=curve)
    errors = np.log(np.array([row.median_s for row in rows]) / predicted_s)
    low, high = np.quantile(errors, [0.1, 0.9])
    fitted = FittedCurve(
        family=FAMILY, group=name, curve=curve, residual_log_10_90=(float(low), float(high)), ranges=_ranges(rows)
    )
    return GroupFit(curve=fitted, rows=rows, predicted_s=predicted_s, unseen=unseen)


def _unseen_s(rows: Sequence[Measurement], curve: KernelCurve) -> FloatArray:
    """What curves fitted without them say of the rows; folds by hash, so that they do not follow the order measured."""
    fold_of = np.argsort([share_of(f"{row.op}|{shape_text(row.shape)}|{row.dtype}") for row in rows]) % N_FOLDS
    predicted_s = np.empty(len(rows))
    for fold in range(N_FOLDS):
        judged = [i for i in range(len(rows)) if fold_of[i] == fold]
        others = refit_kernel(curve, *_columns([row for i, row in enumerate(rows) if fold_of[i] != fold]))
        predicted_s[judged] = kernel_s(*amounts([rows[i] for i in judged]), curve=others)
    return predicted_s


def fit_rows(rows: Sequence[Measurement]) -> KernelCurve:
    """Return the curve that predicts `rows` best."""
    return fit_kernel(*_columns(rows))


def _columns(rows: Sequence[Measurement]) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """FLOPs, bytes, seconds and spread of `rows`."""
    seconds, spread = (np.array([getattr(row, name) for row in rows]) for name in ("median_s", "spread"))
    return (*amounts(rows), seconds, spread)


def _ranges(rows: Sequence[Measurement]) -> dict[str, tuple[float, float]]:
    flops, moved = amounts(rows)
    axes = {"flops": flops, "moved_bytes": moved}
    for axis in ROW_AXES:
        if all(axis in row.shape for row in rows):
            axes[axis] = np.array([float(row.shape[axis]) for row in rows])
    return {axis: (float(values.min()), float(values.max())) for axis, values in axes.items() if values.max() > 0.0}


def _launches(rows: Sequence[Measurement]) -> dict[str, float]:
    return {
        row.op.removeprefix("launch."): row.median_s / float(row.shape["launches"])
        for row in rows
        if row.kernel == "launch"
    }


def _pace_kept(rows: Sequence[Measurement]) -> dict[str, float]:
    """Median over the rows of each interference op of time alone over time beside, at most 1."""
    kept: dict[str, list[float]] = {}
    for row in rows:
        alone_s = row.outcome.get("alone_s") if row.kernel == "interference" else None
        if alone_s:
            kept.setdefault(f"{row.op}|{row.dtype}", []).append(min(1.0, float(alone_s) / row.median_s))
    return {name: median(shares) for name, shares in sorted(kept.items())}
