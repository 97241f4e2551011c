"""A device whose true costs are known is found again from its measurements."""

from dataclasses import replace

import numpy as np
import pytest

from hw_profiles.faults import InputFaults
from validation.calibrate_here import KernelRates, calibrate_here, fit_kernel_s, kernel_s
from validation.measurements import Measurement

GEMM = KernelRates(floor_s=4e-6, flops_per_s=8e13, bytes_per_s=2e12)
COPY = KernelRates(floor_s=2e-6, flops_per_s=None, bytes_per_s=2.5e12)
LINK = KernelRates(floor_s=3e-5, flops_per_s=None, bytes_per_s=4e10)
WITHIN = 0.02  # what calibration must find a known device within
NOISE = 0.01  # standard deviation of the log of a measured time


def measured(kernel, shape, rates, *, dtype="bf16", flops=None, moved_bytes=None, rng=None):
    true_s = float(kernel_s(np.asarray(flops or 0.0), np.asarray(moved_bytes or 0.0), rates))
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
    rates = KernelRates(floor_s=5e-4, flops_per_s=None, bytes_per_s=None)
    return [replace(measured("launch", {"launches": 100}, rates, dtype="fp32"), op="launch.eager")]


def assert_found(found, true):
    for name, value in vars(true).items():
        assert getattr(found, name) == (None if value is None else pytest.approx(value, rel=WITHIN)), name


@pytest.mark.parametrize(("rows", "true"), [(gemms, GEMM), (copies, COPY), (transfers, LINK)])
def test_exact_measurements_give_back_the_true_costs(rows, true):
    assert_found(fit_kernel_s(rows()), true)


@pytest.mark.parametrize("seed", range(3))
def test_a_noisy_device_is_found_again_whole(seed):
    rng = np.random.default_rng(seed)
    fit = calibrate_here([*gemms(rng), *copies(rng), *transfers(rng), *launches()])
    assert fit.device == "fake"
    assert fit.peak_flops_per_s == {"bf16": pytest.approx(GEMM.flops_per_s, rel=WITHIN)}
    assert fit.memory_bytes_per_s == pytest.approx(COPY.bytes_per_s, rel=WITHIN)
    assert fit.launch_s == {"eager": pytest.approx(5e-6)}
    assert_found(fit.kernels["all_reduce.bf16.r4"].rates, LINK)


def test_residuals_are_as_wide_as_the_noise():
    low, high = calibrate_here(gemms(np.random.default_rng(0))).kernels["gemm.bf16"].residual_log_10_90
    assert -4 * NOISE < low < 0 < high < 4 * NOISE


def test_one_wild_row_does_not_move_the_rates():
    rows = gemms()
    rows[5] = replace(rows[5], median_s=10 * rows[5].median_s, spread=2.0, marked="spread 2.000 above 0.05")
    assert_found(fit_kernel_s(rows), GEMM)
    assert calibrate_here(rows).kernels["gemm.bf16"].n_marked == 1


def test_a_rate_that_bound_no_call_is_not_told():
    small_only = [row for row in gemms() if row.shape["m"] == 1]
    assert fit_kernel_s(small_only).flops_per_s is None


def test_whole_layers_never_enter_a_fit():
    layers = [replace(row, suite="layers", kernel="layer", flops=None, median_s=1.0) for row in gemms()]
    assert calibrate_here([*gemms(), *layers]) == calibrate_here(gemms())
    with pytest.raises(InputFaults, match="no device"):
        calibrate_here(layers)


def test_two_devices_in_one_table_are_refused():
    with pytest.raises(InputFaults, match="'fake', 'other'"):
        calibrate_here([*gemms(), replace(gemms()[0], device="other")])


def test_groups_that_cannot_be_fitted_are_named():
    uncounted = [replace(row, kernel="permute", op="moe.sort", moved_bytes=None) for row in copies()]
    assert calibrate_here([*gemms(), *copies()[:2], *uncounted]).not_fitted == ["copy.uint8", "moe.sort.uint8"]
