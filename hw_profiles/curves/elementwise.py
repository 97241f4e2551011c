"""Kernels that only move bytes: norms, activations, casts, permutations."""

from dataclasses import dataclass

import numpy as np

from hw_profiles.curves.base import Amount, Chip, FloatArray


@dataclass(frozen=True, kw_only=True)
class ElementwiseCurve:
    """Coefficients of `elementwise_s`: launch floor and share of the memory rate."""

    floor_s: float
    memory_share: float


# The rule of aiconfigurator's h100_sxm.yaml and h200_sxm.yaml (system_specs.json): 0.8 of the rate and 3 µs.
PUBLISHED_ELEMENTWISE = ElementwiseCurve(floor_s=3e-6, memory_share=0.8)


def elementwise_s(moved_bytes: Amount, *, chip: Chip, curve: ElementwiseCurve) -> FloatArray:
    """Return the seconds to read and write `moved_bytes` in one kernel: floor + bytes over the reached memory rate."""
    return np.asarray(curve.floor_s + moved_bytes / (chip.hbm_bytes_per_s * curve.memory_share))
