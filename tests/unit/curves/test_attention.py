import numpy as np
import pytest
from curve_chip import CHIP
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_profiles.curves.mla import mla_decode_s, mla_prefill_s
from hw_profiles.fits.mla import fit_mla_decode, fit_mla_prefill

BATCH, KV = (grid.ravel().astype(float) for grid in np.meshgrid([1, 8, 64, 256], [64, 512, 4096, 32768]))


def decode_curve():
    seconds = 1.2e-5 + BATCH * KV * 1152 / (0.85 * 3.35e12)
    return fit_mla_decode(64.0, 1.0, BATCH, KV, seconds, chip=CHIP, precision="bf16", kv_precision="bf16")


CURVE = decode_curve()


def test_decode_recovers_a_memory_bound_kernel():
    predicted = mla_decode_s(64.0, 1.0, BATCH, KV, chip=CHIP, curve=CURVE)
    assert predicted == pytest.approx(1.2e-5 + BATCH * KV * 1152 / (0.85 * 3.35e12), rel=0.1)


def test_two_queries_of_64_heads_cost_what_128_heads_cost():
    two = mla_decode_s(64.0, 2.0, 96.0, 5000.0, chip=CHIP, curve=CURVE)
    assert two == mla_decode_s(128.0, 1.0, 96.0, 5000.0, chip=CHIP, curve=CURVE)


@given(batch=st.integers(1, 1024), kv=st.integers(1, 100_000), more=st.integers(1, 1000))
@settings(max_examples=200, deadline=None)
def test_more_sequences_or_longer_caches_never_take_less_time(batch, kv, more):
    now = mla_decode_s(64.0, 1.0, batch, kv, chip=CHIP, curve=CURVE) * (1 - 1e-12)
    assert mla_decode_s(64.0, 1.0, batch + more, kv, chip=CHIP, curve=CURVE) >= now
    assert mla_decode_s(64.0, 1.0, batch, kv + more, chip=CHIP, curve=CURVE) >= now


def test_prefill_recovers_a_compute_bound_kernel():
    batch, length = (grid.ravel() for grid in np.meshgrid([1.0, 8.0, 64.0], [2048.0, 8192.0, 32768.0]))
    flops = 64.0 * batch * length * (length + 128) * 320
    seconds = 1e-5 + flops / (0.6 * 989e12)
    curve = fit_mla_prefill(
        64.0, batch, length, seconds, chip=CHIP, precision="bf16", key_width=192.0, value_width=128.0
    )
    assert mla_prefill_s(64.0, batch, length, chip=CHIP, curve=curve) == pytest.approx(seconds, rel=0.05)
