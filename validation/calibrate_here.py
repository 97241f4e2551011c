"""From a measurements table to what this machine does: rates and floors of its kernels, bandwidth, launch cost.

A call takes floor + max(FLOPs / rate, bytes / rate); collectives the same with the bytes that a rank sends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product

import numpy as np
from scipy.optimize import least_squares

from hw_profiles.curves.base import FloatArray
from hw_profiles.faults import Fault, InputFaults
from validation.measurements import Measurement, shape_text
from validation.tables import share_of

HELD_OUT_SUITES = frozenset({"layers", "overlap"})  # whole layers judge the predictions, they never enter a fit
HELD_OUT_SHARE = 0.2
FEWEST_ROWS = 3
POOLED = frozenset({"gemm", "batched_gemm", "grouped_gemm", "attention_decode", "attention_prefill"})  # over ops
LEAST_NOISE = 0.02  # spread below which a row weighs no more
OUTLIER = 0.1  # log error beyond which a row's pull grows no longer with its square
MARGIN = 1.5  # a true rate may be this much below the best one seen: a lucky row
WIDEST = 20.0  # and this much above
STARTS = (1.0, 1.5)


@dataclass(frozen=True, kw_only=True)
class KernelRates:
    """Floor of a call [s], FLOP/s and bytes/s reached; None where no measured call was bound by it."""

    floor_s: float
    flops_per_s: float | None
    bytes_per_s: float | None


@dataclass(frozen=True, kw_only=True)
class KernelFit:
    """Rates with their standing: 10 and 90 % quantiles of log(measured / predicted), on held-out rows where there are
    enough; rows fitted, and how many of all rows were marked as doubtful."""

    rates: KernelRates
    residual_log_10_90: tuple[float, float]
    n_rows: int
    n_marked: int


@dataclass(frozen=True, kw_only=True)
class MachineFit:
    """One device: fits by "kernel.dtype" or, where kernels of a family differ, "op.dtype", collectives with ".rN" for
    their N ranks; the FLOP/s that dense products reach by dtype, bytes/s of copies, seconds per launch by way ("eager",
    "graph"), and the groups that were not fitted: too few rows, or amounts that nobody counted."""

    device: str
    kernels: Mapping[str, KernelFit]
    peak_flops_per_s: Mapping[str, float]
    memory_bytes_per_s: float | None
    launch_s: Mapping[str, float]
    not_fitted: Sequence[str]


def kernel_s(flops: FloatArray, moved_bytes: FloatArray, rates: KernelRates) -> FloatArray:
    """Return the seconds of calls: floor + max(FLOPs / FLOP/s, bytes / bytes/s)."""
    compute_s = flops / (rates.flops_per_s or np.inf)
    return np.asarray(rates.floor_s + np.maximum(compute_s, moved_bytes / (rates.bytes_per_s or np.inf)))


def fit_kernel_s(rows: Sequence[Measurement]) -> KernelRates:
    """Return the rates that predict `rows` best: least log errors, steady rows weighing more, outliers bounded."""
    flops, moved, measured_s = _columns(rows)
    weights = 1.0 / np.maximum([row.spread for row in rows], LEAST_NOISE)
    weights /= weights.max()
    best = np.array([measured_s.min() / 2, (flops / measured_s).max() or 1.0, (moved / measured_s).max() or 1.0])
    low = np.log(best * [1e-4, 1 / MARGIN, 1 / MARGIN])
    high = np.log(best * [2 * MARGIN, WIDEST, WIDEST])

    def errors(log_rates: FloatArray) -> FloatArray:
        return np.asarray(weights * np.log(kernel_s(flops, moved, _rates(log_rates)) / measured_s))

    tries = [
        least_squares(errors, np.log(best * [floor, *rates]), bounds=(low, high), loss="soft_l1", f_scale=OUTLIER)
        for floor in (1.0, 0.1) for rates in product(STARTS, STARTS)
    ]  # fmt: skip
    found = _rates(min(tries, key=lambda solution: float(solution.cost)).x)
    return _what_was_seen(found, flops, moved)


def calibrate_here(rows: Sequence[Measurement]) -> MachineFit:
    """Return what `rows` of one device tell of it, held-out suites left out; InputFaults where nothing is left to fit
    or several devices are mixed."""
    rows = [row for row in rows if row.suite not in HELD_OUT_SUITES and row.kernel != "layer"]
    devices = sorted({row.device for row in rows})
    if len(devices) != 1:
        raise InputFaults([Fault(field="measurements", got=f"rows to fit of {devices or 'no device'}",
                                 allowed="kernels or collectives of one device",
                                 remedy="measure with --suite quick or full into a folder of its own")])  # fmt: skip
    grouped = {name: list(group) for name, group in groupby(sorted(rows, key=_group), key=_group)}
    launches = {
        row.op.removeprefix("launch."): row.median_s / float(row.shape["launches"]) for row in grouped.pop("", [])
    }
    fits = {name: _fit(group) for name, group in grouped.items() if _can_be_fitted(group)}
    gemms = {
        name.removeprefix("gemm."): fit.rates.flops_per_s for name, fit in fits.items() if name.startswith("gemm.")
    }
    return MachineFit(
        device=devices[0], kernels=fits, launch_s=launches,
        peak_flops_per_s={dtype: rate for dtype, rate in gemms.items() if rate},
        memory_bytes_per_s=fits["copy.uint8"].rates.bytes_per_s if "copy.uint8" in fits else None,
        not_fitted=[name for name in grouped if name not in fits],
    )  # fmt: skip


def is_held_out(row: Measurement) -> bool:
    """Whether `row` judges the fit of its group rather than entering it: a fifth of the shapes, by hash."""
    return share_of(f"{row.op}|{shape_text(row.shape)}|{row.dtype}") < HELD_OUT_SHARE


def _fit(rows: Sequence[Measurement]) -> KernelFit:
    held = [row for row in rows if is_held_out(row)]
    train = [row for row in rows if not is_held_out(row)]
    if min(len(held), len(train)) < FEWEST_ROWS:
        held, train = list(rows), list(rows)
    rates = fit_kernel_s(train)
    flops, moved, measured_s = _columns(held)
    low, high = np.quantile(np.log(measured_s / kernel_s(flops, moved, rates)), [0.1, 0.9])
    n_marked = sum(bool(row.marked) for row in rows)
    return KernelFit(rates=rates, residual_log_10_90=(float(low), float(high)), n_rows=len(train), n_marked=n_marked)


def _can_be_fitted(rows: Sequence[Measurement]) -> bool:
    return len(rows) >= FEWEST_ROWS and all(row.flops or row.moved_bytes for row in rows)


def _group(row: Measurement) -> str:
    """What one fit covers; launches, which have no amounts, under the empty name."""
    if row.kernel == "launch":
        return ""
    what = row.kernel if row.kernel in POOLED else row.op  # a norm passes over memory more often than a sum
    ranks = f".r{row.shape['ranks']}" if "ranks" in row.shape else ""
    return f"{what}.{row.dtype}{ranks}"


def _columns(rows: Sequence[Measurement]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """FLOPs, bytes and seconds of `rows`; an amount that nobody counted binds nothing."""
    flops = np.array([row.flops or 0.0 for row in rows])
    moved = np.array([row.moved_bytes or 0.0 for row in rows])
    return flops, moved, np.array([row.median_s for row in rows])


def _rates(log_rates: FloatArray) -> KernelRates:
    floor_s, flops_per_s, bytes_per_s = (float(rate) for rate in np.exp(log_rates))
    return KernelRates(floor_s=floor_s, flops_per_s=flops_per_s, bytes_per_s=bytes_per_s)


def _what_was_seen(rates: KernelRates, flops: FloatArray, moved: FloatArray) -> KernelRates:
    """Drop a rate that bounds none of the calls."""
    assert rates.flops_per_s and rates.bytes_per_s, "a fit has both rates"  # noqa: PT018
    is_compute = flops / rates.flops_per_s > moved / rates.bytes_per_s
    return KernelRates(
        floor_s=rates.floor_s, flops_per_s=rates.flops_per_s if is_compute.any() else None,
        bytes_per_s=rates.bytes_per_s if (~is_compute & (moved > 0)).any() else None,
    )  # fmt: skip
