"""Estimators of `low_latency_s` and `normal_s`, in two steps: inside a node first, then what crosses the NIC."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hw_profiles.curves.all_to_all import LowLatencyCurve, NormalCurve, low_latency_s, normal_s
from hw_profiles.curves.base import Chip, FloatArray
from hw_profiles.fits.bounded import Free, fit_bounded

PUBLISHED_NIC_SHARE = 0.9  # DeepEP README of 2025-02: 43 to 47 GB/s over 50 GB/s NICs

C = TypeVar("C", LowLatencyCurve, NormalCurve)
LOCAL = {
    "floor_s": Free(low=1e-7, high=1e-4),
    "knee_s": Free(low=1e-8, high=1e-4),
    "nvlink_share": Free(low=0.1, high=1.0),
    "sharpness": Free(low=0.8, high=12.0),
}
LOW_LATENCY = LOCAL | {
    "expert_s": Free(low=0.0, high=1e-7),
    "sm_bytes_per_s": Free(low=1e8, high=1e11),
}
NORMAL = LOCAL | {
    "choice_s": Free(low=0.0, high=5e-6),
    "sm_bytes_per_s": Free(low=1e9, high=1e11),
    "log_bytes": Free(low=-0.8, high=0.8, stiffness=0.06),
}
REMOTE = {
    "nic_floor_s": Free(low=0.0, high=5e-5),
    "nic_node_s": Free(low=0.0, high=3e-5),
    "nic_share": Free(low=0.2, high=1.0),
    "nic_loss": Free(low=0.0, high=1.0, stiffness=0.1),
}
NORMAL_REMOTE = REMOTE | {
    "nic_share": Free(low=0.2, high=1.0, stiffness=0.3),  # stays at the start where SMs, not the NIC, are the limit
    "forward_bytes_per_s": Free(low=2e8, high=5e10),
    "overlap": Free(low=1.0, high=8.0, stiffness=0.05),
    "log_nic_bytes": Free(low=-1.0, high=1.0, stiffness=0.1),
}


def fit_low_latency(
    tokens: FloatArray, hidden: FloatArray, copies: FloatArray, experts: FloatArray, ranks: FloatArray,
    seconds: FloatArray, *, chip: Chip, value_bytes: float, token_bytes: float,
) -> LowLatencyCurve:  # fmt: skip
    """Return the coefficients of `low_latency_s` that follow the measured `seconds`."""
    start = LowLatencyCurve(
        value_bytes=value_bytes, token_bytes=token_bytes, floor_s=6e-6, expert_s=1e-8, knee_s=2e-6, nvlink_share=0.6,
        sm_bytes_per_s=3e9, sharpness=2.0,
    )  # fmt: skip
    inputs = (tokens, hidden, copies, experts, ranks)

    def at(keep: NDArray[np.bool_]) -> Callable[[LowLatencyCurve], FloatArray]:
        kept = tuple(values[keep] for values in inputs)
        return lambda curve: low_latency_s(*kept, chip=chip, curve=curve)

    return _in_two_steps(at, start, (LOW_LATENCY, REMOTE), ranks > 8, seconds)


def fit_normal(
    tokens: FloatArray, hidden: FloatArray, rank_copies: FloatArray, node_copies: FloatArray, choices: FloatArray,
    nodes: FloatArray, sms: FloatArray, seconds: FloatArray, *, chip: Chip, value_bytes: float,
) -> NormalCurve:  # fmt: skip
    """Return the coefficients of `normal_s` that follow the measured `seconds`."""
    start = NormalCurve(
        value_bytes=value_bytes, floor_s=2e-5, choice_s=1e-7, knee_s=5e-6, nvlink_share=0.7, sm_bytes_per_s=1.5e10,
        sharpness=2.0, nic_share=PUBLISHED_NIC_SHARE,
    )  # fmt: skip
    inputs = (tokens, hidden, rank_copies, node_copies, choices, nodes, sms)

    def at(keep: NDArray[np.bool_]) -> Callable[[NormalCurve], FloatArray]:
        kept = tuple(values[keep] for values in inputs)
        return lambda curve: normal_s(*kept, chip=chip, curve=curve)

    return _in_two_steps(at, start, (NORMAL, NORMAL_REMOTE), nodes > 1, seconds)


def _in_two_steps(
    at: Callable[[NDArray[np.bool_]], Callable[[C], FloatArray]],
    start: C,
    free: tuple[Mapping[str, Free], Mapping[str, Free]],
    is_remote: NDArray[np.bool_],
    seconds: FloatArray,
) -> C:
    """Fit the first fields on rows inside a node, then the second on the rest; a step without rows is left out."""
    curve = start
    for fields, keep in zip(free, (np.logical_not(is_remote), is_remote), strict=True):
        if np.any(keep):
            curve = fit_bounded(at(keep), curve, fields, seconds[keep])
    return curve
