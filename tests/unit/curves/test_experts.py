import numpy as np
import pytest
from curve_chip import CHIP

from hw_profiles.curves.grouped_gemm import expert_load, grouped_gemm_s
from hw_profiles.fits.grouped_gemm import fit_grouped_gemm
from validation.expert_draws import busiest_rank_counts


def loads_and_times():
    each = np.array([0.0, 1.0, 16.0, 128.0, 512.0, 2048.0])
    counts = np.repeat(each[1:, None, None], 8, axis=-1)
    hidden, inter = np.full(5, 6144.0), np.full(5, 2048.0)
    weights_s = 8 * 3 * 6144 * 2048 / (0.8 * 3.35e12)
    work_s = 8 * np.ceil(each[1:] / 64) * 64 * 6 * 6144 * 2048 / (0.7 * 1979e12)
    return counts, hidden, inter, 2e-5 + np.maximum(weights_s, work_s)


def test_the_estimator_follows_weights_then_work():
    counts, hidden, inter, seconds = loads_and_times()
    curve = fit_grouped_gemm(counts, hidden, inter, seconds, np.zeros(5), chip=CHIP, row_tile=64.0)
    load = expert_load(counts[:, 0], row_tile=64.0)
    assert grouped_gemm_s(load, hidden, inter, chip=CHIP, curve=curve) == pytest.approx(seconds, rel=0.05)


def test_an_expert_without_tokens_costs_nothing():
    load = expert_load(np.array([0.0, 0.0, 65.0]), row_tile=64.0)
    assert (load.active, load.rows, load.padded_rows) == (1.0, 65.0, 128.0)


def test_balanced_counts_hold_every_token_of_the_rank():
    counts_DE = busiest_rank_counts("balanced", tokens=64, top_k=8, experts=256, ranks=8)
    assert counts_DE.shape[-1] == 32
    assert np.all(counts_DE.sum(axis=-1) == 64)


def test_a_skewed_rank_carries_more_than_its_share_and_repeats_itself():
    first = busiest_rank_counts("power_law_1.2", tokens=4096, top_k=8, experts=256, ranks=32)
    again = busiest_rank_counts("power_law_1.2", tokens=4096, top_k=8, experts=256, ranks=32)
    assert np.array_equal(first, again)
    assert np.all(first.sum(axis=-1) > 4096 * 8 / 32)
