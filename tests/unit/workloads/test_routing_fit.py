"""The fit of FFN experts per token against its own law and against counts worked by hand."""

import numpy as np
import pytest

from workloads.routing import beta_binomial
from workloads.routing_fit import fit_ffn_experts


def test_a_sample_of_the_law_gives_the_law_back():
    law_K = beta_binomial(n=12, mean=8.0, std=3.0)
    ffn_M = np.random.default_rng(0).choice(13, size=200_000, p=law_K)
    fit = fit_ffn_experts(ffn_M, 12)
    assert fit.kind == "beta_binomial"
    assert fit.mean == pytest.approx(8.0, abs=5 * 3.0 / 200_000**0.5)
    assert fit.std == pytest.approx(3.0, rel=0.01)
    assert fit.misfit < 0.01


def test_a_narrow_record_is_said_to_be_no_beta_binomial():
    fit = fit_ffn_experts(np.array([1, 1, 1, 1]), 2)  # a binomial of 2 with p 1/2: 1/4, 1/2, 1/4
    assert fit.kind == "binomial"
    np.testing.assert_allclose(fit.law_K, [0.25, 0.5, 0.25])
    assert fit.misfit == pytest.approx(0.5)


def test_a_two_humped_record_keeps_its_moments_and_shows_its_misfit():
    fit = fit_ffn_experts(np.array([0, 3, 3, 3, 3, 6] * 10), 6)
    assert (np.arange(7) * fit.law_K).sum() == pytest.approx(fit.mean) == 3.0
    assert fit.misfit > 0.3


@pytest.mark.parametrize(("counts", "said"), [
    ([], "got 0 counts"), ([7], "allowed one or more, each 0 to 6"), ([-1], "each 0 to 6"), ([6, 6], "got 6 of every"),
])  # fmt: skip
def test_counts_that_are_none_are_refused(counts, said):
    with pytest.raises(ValueError, match=said):
        fit_ffn_experts(np.array(counts, dtype=np.int64), 6)
