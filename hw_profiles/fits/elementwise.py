"""Estimator of `elementwise_s`."""

from hw_profiles.curves.base import Chip, FloatArray
from hw_profiles.curves.elementwise import ElementwiseCurve, elementwise_s
from hw_profiles.fits.bounded import Free, fit_bounded

FREE = {"floor_s": Free(low=1e-7, high=1e-4), "memory_share": Free(low=0.1, high=1.0)}


def fit_elementwise(moved_bytes: FloatArray, seconds: FloatArray, *, chip: Chip) -> ElementwiseCurve:
    """Return the floor and the share of the memory rate that follow the measured `seconds`."""
    start = ElementwiseCurve(floor_s=5e-6, memory_share=0.7)
    return fit_bounded(lambda curve: elementwise_s(moved_bytes, chip=chip, curve=curve), start, FREE, seconds)
