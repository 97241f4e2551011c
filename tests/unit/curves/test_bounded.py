from dataclasses import dataclass

import numpy as np
import pytest

from hw_profiles.fits.bounded import Free, fit_bounded


@dataclass(frozen=True, kw_only=True)
class Line:
    floor_s: float
    slope: float


def test_a_small_coefficient_beside_a_large_one_is_found():
    x = np.linspace(1.0, 2.0, 20)
    seconds = 3.0 + 1e-3 * x
    fitted = fit_bounded(
        lambda line: line.floor_s + line.slope * x, Line(floor_s=1.0, slope=1e-4),
        {"floor_s": Free(low=0.1, high=10.0), "slope": Free(low=-1.0, high=1.0)}, seconds,
    )  # fmt: skip
    assert fitted.slope == pytest.approx(1e-3, rel=1e-3)
