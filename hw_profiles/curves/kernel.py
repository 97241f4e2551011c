"""Any kernel by its amounts alone: a floor, and FLOPs and bytes at the rates that it reaches."""

from dataclasses import dataclass

import numpy as np

from hw_profiles.curves.base import FloatArray, smooth_max


@dataclass(frozen=True, kw_only=True)
class KernelCurve:
    """Coefficients of `kernel_s`: floor of a call [s], FLOP/s and bytes/s reached (None where no call that was seen
    was bound by it), and how far the two overlap: 1 is one after the other, large is side by side."""

    floor_s: float
    flops_per_s: float | None
    bytes_per_s: float | None
    sharpness: float = 1.0


def kernel_s(flops: FloatArray, moved_bytes: FloatArray, *, curve: KernelCurve) -> FloatArray:
    """Return the seconds of calls: floor + ((FLOPs / FLOP/s)^s + (bytes / bytes/s)^s)^(1/s), s the sharpness."""
    compute_s = flops / (curve.flops_per_s or np.inf)
    memory_s = moved_bytes / (curve.bytes_per_s or np.inf)
    if curve.flops_per_s is None or curve.bytes_per_s is None:
        return np.asarray(curve.floor_s + compute_s + memory_s)
    return np.asarray(curve.floor_s + smooth_max(np.maximum(compute_s, 1e-15), memory_s, curve.sharpness))
