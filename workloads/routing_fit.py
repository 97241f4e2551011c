"""The law of FFN experts per token fitted to a record, and how far the record is from it: twin of
`routing.beta_binomial`.

K choices per token; pmf_K over 0..K FFN experts.
"""

from dataclasses import dataclass
from math import comb

import numpy as np

from workloads.ops import FloatArray, IntArray
from workloads.routing import beta_binomial, beta_binomial_std_range

_INSIDE = 1e-3  # relative: a standard deviation this near the end of the range is that of the binomial


@dataclass(frozen=True, kw_only=True)
class FfnFit:
    """`mean`, `std` of the record; `kind` of the law with that mean that comes nearest in std, `law_K` its pmf;
    `misfit`: total variation distance between record and law, the share of tokens that the law misplaces."""

    mean: float
    std: float
    kind: str
    law_K: FloatArray
    recorded_K: FloatArray
    misfit: float


def fit_ffn_experts(ffn_M: IntArray, top_k: int) -> FfnFit:
    """Return the beta-binomial with the mean and standard deviation of `ffn_M` (method of moments).

    A record narrower than a binomial has no beta-binomial: the binomial with its mean is returned, its misfit says what
    that costs. Raises ValueError for counts outside 0..K, and where every token takes none or all.
    """
    if len(ffn_M) == 0 or ffn_M.min() < 0 or ffn_M.max() > top_k:
        raise ValueError(f"FFN experts per token: got {len(ffn_M)} counts; allowed one or more, each 0 to {top_k}")
    recorded_K = np.bincount(ffn_M, minlength=top_k + 1) / len(ffn_M)
    mean, std = float(ffn_M.mean()), float(ffn_M.std())
    if not 0.0 < mean < top_k:
        raise ValueError(f"FFN experts per token: got {mean:g} of every token; allowed a mean between 0 and {top_k}")
    low, high = beta_binomial_std_range(n=top_k, mean=mean)
    wide = low * (1.0 + _INSIDE) < std < high
    law_K = beta_binomial(n=top_k, mean=mean, std=std) if wide else _binomial(top_k, mean / top_k)
    return FfnFit(
        mean=mean, std=std, kind="beta_binomial" if wide else "binomial", law_K=law_K, recorded_K=recorded_K,
        misfit=float(np.abs(recorded_K - law_K).sum() / 2),
    )  # fmt: skip


def _binomial(n: int, p: float) -> FloatArray:
    return np.array([comb(n, k) * p**k * (1.0 - p) ** (n - k) for k in range(n + 1)])
