"""Estimator of `Interference` from kernels timed beside compute and their stand-alone times."""

import numpy as np

from hw_profiles.curves.base import FloatArray
from hw_profiles.curves.interference import Interference


def fit_interference(
    *, dispatch_alone_s: FloatArray, dispatch_s: FloatArray, combine_alone_s: FloatArray, combine_s: FloatArray,
    gemm_alone_s: FloatArray, gemm_s: FloatArray,
) -> Interference:  # fmt: skip
    """Return the mean shares of the stand-alone rate kept: stand-alone over side-by-side seconds, at most 1.

    `gemm_alone_s` is the stand-alone time scaled to the SMs that the GEMM held.
    """

    def share(alone_s: FloatArray, beside_s: FloatArray) -> float:
        return float(min(1.0, np.exp(np.mean(np.log(alone_s / beside_s)))))

    return Interference(
        dispatch_share=share(dispatch_alone_s, dispatch_s),
        combine_share=share(combine_alone_s, combine_s),
        gemm_share=share(gemm_alone_s, gemm_s),
    )
