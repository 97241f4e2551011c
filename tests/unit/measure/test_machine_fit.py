"""A device whose true costs are known is found again from its measurements."""

from dataclasses import replace

import numpy as np
import pytest

from hw_profiles.curves.kernel import KernelCurve, kernel_s
from hw_profiles.faults import InputFaults
from validation.machine_fit import fit_machine, fit_rows
from validation.measurements import Measurement

GEMM = KernelCurve(floor_s=4e-6, flops_per_s=8e13, bytes_per_s=2e12, sharpness=2.0)
COPY = KernelCurve(floor_s=2e-6, flops_per_s=None, bytes_per_s=2.5e12)
LINK = KernelCurve(floor_s=3e-5, flops_per_s=None, bytes_per_s=4e10)
WITHIN = 0.02  # what calibration must find a known device within
NOISE = 0.01  # standard deviation of the log of a measured time


def measured(kernel, shape, curve, *, dtype="bf16", flops=None, moved_bytes=None, rng=None):
    true_s = float(kernel_s(np.asarray(flops or 0.0), np.asarray(moved_bytes or 0.0), curve=curve))
    noise = rng.normal(0.0, NOISE) if rng is not None else 0.0
    return Measurement(
        suite="full", kernel=kernel, op=kernel, shape=shape, dtype=dtype, device="fake", flops=flops,
        moved_bytes=moved_bytes, median_s=true_s * np.exp(noise), spread=NOISE, n_repeats=20,
    )  # fmt: skip


def gemm(m, n, k, rng):
    moved_bytes = 2.0 * (m * k + n * k + m * n)
    return measured("gemm", {"m": m, "n": n, "k": k}, GEMM, flops=2.0 * m * n * k, moved_bytes=moved_bytes, rng=rng)


def gemms(rng=None):
    weights = ((1536, 6144), (6144, 8192), (24576, 6144), (64, 64))
    return [gemm(m, n, k, rng) for m in (1, 16, 64, 256, 1024, 4096) for n, k in weights]


def copies(rng=None):
    sizes = [1 << n for n in range(12, 31, 2)]
    return [measured("copy", {"bytes": n}, COPY, dtype="uint8", moved_bytes=2.0 * n, rng=rng) for n in sizes]


def transfers(rng=None):
    sizes = [1 << n for n in range(12, 29, 2)]
    return [measured("all_reduce", {"bytes": n, "ranks": 4}, LINK, moved_bytes=1.5 * n, rng=rng) for n in sizes]


def launches():
    hundred = KernelCurve(floor_s=5e-4, flops_per_s=None, bytes_per_s=None)
    return [replace(measured("launch", {"launches": 100}, hundred, dtype="fp32"), op="launch.eager")]


def assert_found(found, true):
    for name in ("floor_s", "flops_per_s", "bytes_per_s"):
        value = getattr(true, name)
        assert getattr(found, name) == (None if value is None else pytest.approx(value, rel=WITHIN)), name


def assert_same_times(found, true):
    """Floor and rates trade against one another under noise; what a call takes is what has to be found."""
    rows = gemms()
    amounts = [np.array([getattr(row, name) for row in rows]) for name in ("flops", "moved_bytes")]
    assert kernel_s(*amounts, curve=found) == pytest.approx(kernel_s(*amounts, curve=true), rel=WITHIN)


@pytest.mark.parametrize(("rows", "true"), [(gemms, GEMM), (copies, COPY), (transfers, LINK)])
def test_exact_measurements_give_back_the_true_costs(rows, true):
    assert_found(fit_rows(rows()), true)


@pytest.mark.parametrize("seed", range(3))
def test_a_noisy_device_is_found_again_whole(seed):
    rng = np.random.default_rng(seed)
    fit = fit_machine([*gemms(rng), *copies(rng), *transfers(rng), *launches()])
    assert fit.device == "fake"
    assert fit.flops_per_s("gemm", "bf16") == pytest.approx(GEMM.flops_per_s, rel=WITHIN)
    assert fit.memory_bytes_per_s == pytest.approx(COPY.bytes_per_s, rel=WITHIN)
    assert fit.launch_s == {"eager": pytest.approx(5e-6)}
    assert_found(fit.groups["all_reduce|bf16|r4"].curve.curve, LINK)
    assert_same_times(fit.groups["gemm/gemm|bf16"].curve.curve, GEMM)


def test_residuals_are_as_wide_as_the_noise():
    low, high = fit_machine(gemms(np.random.default_rng(0))).groups["gemm|bf16"].curve.residual_log_10_90
    assert -4 * NOISE < low < 0 < high < 4 * NOISE


def test_one_wild_row_does_not_move_the_rates():
    rows = gemms()
    rows[5] = replace(rows[5], median_s=10 * rows[5].median_s, spread=2.0, marked="spread 2.000 above 0.05")
    assert_same_times(fit_rows(rows), GEMM)
    assert fit_machine(rows).groups["gemm|bf16"].n_marked == 1


def test_a_rate_that_bound_no_call_is_not_told():
    small_only = [row for row in gemms() if row.shape["m"] == 1]
    assert fit_rows(small_only).flops_per_s is None


def test_whole_layers_never_enter_a_fit():
    layers = [replace(row, suite="layers", kernel="layer", flops=None, median_s=1.0) for row in gemms()]
    with_layers, without = fit_machine([*gemms(), *layers]), fit_machine(gemms())
    assert with_layers.groups.keys() == without.groups.keys()
    assert with_layers.groups["gemm|bf16"].curve == without.groups["gemm|bf16"].curve
    with pytest.raises(InputFaults, match="no device"):
        fit_machine(layers)


def test_two_devices_in_one_table_are_refused():
    with pytest.raises(InputFaults, match="'fake', 'other'"):
        fit_machine([*gemms(), replace(gemms()[0], device="other")])


def test_groups_that_cannot_be_fitted_are_named():
    uncounted = [replace(row, kernel="permute", op="moe.sort", moved_bytes=None) for row in copies()]
    names = fit_machine([*gemms(), *copies()[:2], *uncounted]).not_fitted
    assert names == ["copy/copy|uint8", "copy|uint8", "permute/moe.sort|uint8", "permute|uint8"]


def test_every_row_is_judged_by_a_curve_that_has_not_seen_it():
    rows = gemms()
    rows[7] = replace(rows[7], median_s=3.0 * rows[7].median_s)
    group = fit_machine(rows).groups["gemm|bf16"]
    assert group.unseen
    assert group.predicted_s[group.rows.index(rows[7])] == pytest.approx(rows[7].median_s / 3.0, rel=WITHIN)


def test_few_rows_are_judged_by_the_curve_they_made():
    assert not fit_machine(copies()[:3]).groups["copy|uint8"].unseen


def test_interference_is_the_median_pace_kept():
    beside = [
        replace(measured("interference", {"k": k}, COPY, moved_bytes=1e6), op="gemm_beside.copy",
                median_s=alone_s / kept, outcome={"alone_s": alone_s})
        for k, alone_s, kept in ((1, 1e-3, 0.9), (2, 1e-3, 0.8), (4, 2e-3, 0.7))
    ]  # fmt: skip
    assert fit_machine([*gemms(), *beside]).pace_kept == {"gemm_beside.copy|bf16": pytest.approx(0.8)}
