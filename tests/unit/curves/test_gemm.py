from dataclasses import replace

import numpy as np
import pytest
from curve_chip import CHIP
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_profiles.curves.gemm import gemm_roofline_s, gemm_s
from hw_profiles.fits.gemm import START, fit_gemm

SIZES = st.integers(min_value=1, max_value=20000)


def test_a_gemm_is_never_faster_than_the_datasheet():
    m, n, k = (np.array(x, dtype=float) for x in ([1, 100, 20000], [256, 6144, 65536], [512, 6144, 16384]))
    assert np.all(gemm_s(m, n, k, chip=CHIP, curve=START) >= gemm_roofline_s(m, n, k, chip=CHIP, precision="bf16"))


@given(m=SIZES, more=SIZES, n=st.sampled_from([768, 6144, 24576]), k=st.sampled_from([1536, 6144, 12288]))
@settings(max_examples=200, deadline=None)
def test_more_rows_never_take_less_time(m, more, n, k):
    assert gemm_s(m + more, n, k, chip=CHIP, curve=START) >= gemm_s(m, n, k, chip=CHIP, curve=START) * (1 - 1e-12)


def test_arrays_give_what_scalars_give():
    m = np.array([1.0, 64.0, 129.0, 4096.0])
    together = gemm_s(m, 6144.0, 12288.0, chip=CHIP, curve=START)
    assert together == pytest.approx([gemm_s(x, 6144.0, 12288.0, chip=CHIP, curve=START) for x in m], rel=1e-14)


def test_the_estimator_recovers_times_of_a_known_curve():
    rng = np.random.default_rng(1)
    m, n, k = (rng.choice(sizes, 200).astype(float) for sizes in ([1, 16, 256, 4096], [768, 6144, 16384], [1536, 6144]))
    seconds = gemm_s(m, n, k, chip=CHIP, curve=START)
    fitted = fit_gemm(m, n, k, seconds, chip=CHIP, precision="bf16")
    assert gemm_s(m, n, k, chip=CHIP, curve=fitted) == pytest.approx(seconds, rel=1e-3)


def test_quantisation_makes_a_block_scaled_product_wait_for_its_activations():
    block = replace(START, precision="fp8_block")
    plain = replace(START, precision="fp8")
    extra = gemm_s(1024.0, 6144.0, 6144.0, chip=CHIP, curve=block) - gemm_s(
        1024.0, 6144.0, 6144.0, chip=CHIP, curve=plain
    )
    assert extra == pytest.approx(1024 * 6144 * 3 / (3.35e12 * START.quantise_share))
