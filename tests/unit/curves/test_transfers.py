import numpy as np
import pytest
from curve_chip import CHIP
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_profiles.curves.all_to_all import LowLatencyCurve, NormalCurve, distinct_groups, low_latency_s, normal_s
from hw_profiles.curves.interference import Interference, gemm_rate_share
from hw_profiles.curves.pipe import STEPS, PipeCurve, pipe_s
from hw_profiles.fits.interference import fit_interference
from hw_profiles.fits.pipe import fit_pipe

LOW = LowLatencyCurve(
    value_bytes=1.03125, token_bytes=16.0, floor_s=6e-6, expert_s=1e-8, knee_s=2e-6, nvlink_share=0.6,
    sm_bytes_per_s=5e9, sharpness=2.0, nic_floor_s=5e-6, nic_node_s=0.0, nic_loss=0.0,
)  # fmt: skip
NORMAL = NormalCurve(
    value_bytes=2.0, floor_s=2e-5, choice_s=1e-7, knee_s=5e-6, nvlink_share=0.7, sm_bytes_per_s=1.5e10, sharpness=2.0
)


def low(tokens, ranks, experts=512.0):
    return low_latency_s(tokens, 6144.0, 8.0, experts, ranks, chip=CHIP, curve=LOW)


@given(tokens=st.integers(1, 4096), more=st.integers(1, 1000), ranks=st.sampled_from([8, 16, 64, 128]))
@settings(max_examples=100, deadline=None)
def test_more_tokens_never_take_less_time(tokens, more, ranks):
    assert low(tokens + more, ranks) >= low(tokens, ranks)


def test_the_jump_at_the_node_boundary_is_the_nic_latency_when_nothing_is_sent():
    assert low(1e-6, 16.0) - low(1e-6, 8.0) == pytest.approx(LOW.nic_floor_s, rel=1e-3)


def test_no_all_to_all_beats_its_links():
    sent_bytes = 4096 * 8 * (6144 * 1.03125 + 16)
    assert low(4096.0, 8.0) >= sent_bytes / 450e9
    assert low(4096.0, 128.0) >= sent_bytes * (1 - 8 / 128) / 50e9


def test_more_sms_never_slow_a_normal_dispatch():
    sms = np.array([4.0, 8.0, 16.0, 24.0])
    seconds = normal_s(4096.0, 7168.0, 5.25, 0.0, 8.0, 1.0, sms, chip=CHIP, curve=NORMAL)
    assert np.all(np.diff(seconds) <= 0)


def test_one_choice_touches_one_group_and_many_touch_all():
    assert distinct_groups(8.0, 1.0) == pytest.approx(1.0)
    assert distinct_groups(8.0, 1000.0) == pytest.approx(8.0)


def test_the_pipe_estimator_recovers_latency_and_rate():
    n_bytes, ranks = (x.ravel().astype(float) for x in np.meshgrid(np.logspace(3, 9, 25), [2.0, 4.0, 8.0]))
    seconds = 5e-6 + 1e-6 * np.log2(ranks) + n_bytes / (0.8 * 450e9)
    curve = fit_pipe(n_bytes, ranks, seconds, link_bytes_per_s=450e9)
    assert pipe_s(n_bytes, ranks, link_bytes_per_s=450e9, curve=curve) == pytest.approx(seconds, rel=0.03)


@given(
    n_bytes=st.floats(1.0, 1e9), more=st.floats(1.0, 1e8), ranks=st.sampled_from([2.0, 8.0, 64.0]),
    steps=st.lists(st.floats(-3.0, 3.0), min_size=STEPS, max_size=STEPS),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_more_bytes_never_take_less_time_whatever_the_protocols(n_bytes, more, ranks, steps):
    curve = PipeCurve(
        floor_s=5e-6, rank_s=1e-6, step_s=1e-7, share=0.7, growth=0.2, share_steps=tuple(steps),
        growth_steps=tuple(steps),
    )  # fmt: skip
    less_s, more_s = (pipe_s(x, ranks, link_bytes_per_s=450e9, curve=curve) for x in (n_bytes, n_bytes + more))
    assert more_s >= less_s * (1 - 1e-12)
    assert less_s >= n_bytes / 450e9


def test_interference_is_the_share_of_the_stand_alone_rate():
    ones = np.ones(3)
    shares = fit_interference(
        dispatch_alone_s=0.6 * ones, dispatch_s=ones, combine_alone_s=0.87 * ones, combine_s=ones,
        gemm_alone_s=2 * ones, gemm_s=ones,
    )  # fmt: skip
    assert shares == Interference(dispatch_share=pytest.approx(0.6), combine_share=pytest.approx(0.87), gemm_share=1.0)
    assert gemm_rate_share(112, 132, shares) == pytest.approx(112 / 132)
