"""InferSim's kernel table (H800 and H20): its `shape` text unfolded, one family per kind of kernel."""

import re

import numpy as np
import pandas as pd

from hw_profiles.curves.base import Chip, FloatArray
from hw_profiles.curves.gemm import GemmCurve, gemm_s
from hw_profiles.curves.grouped_gemm import GroupedGemmCurve, expert_load, grouped_gemm_s
from hw_profiles.curves.mla import MlaDecodeCurve, mla_decode_s
from hw_profiles.fits.gemm import fit_gemm
from hw_profiles.fits.grouped_gemm import fit_grouped_gemm
from hw_profiles.fits.mla import fit_mla_decode
from validation.families import Family, Rows, numbers, only
from validation.tables import Table

FILE = "kernels_h800_h20_infersim.csv"
COLUMNS = ("hardware", "kernel", "variant", "shape", "latency_us")
UP_SHARE, DOWN_SHARE = 2.0 / 3.0, 1.0 / 3.0  # gate and up hold two of the three expert matrices
ROW_TILE = {"decode": 64.0, "prefill": 128.0}


def unfolded(frame: Rows, kernels: str) -> Rows:
    """Return the rows of the kernels that start with `kernels`, "key=value,…" of `shape` as columns."""
    rows = frame[frame["kernel"].str.startswith(kernels)].reset_index(drop=True)
    pairs = rows["shape"].map(
        lambda text: {key: float(value) for key, value in re.findall(r"(\w+)=(\d+(?:\.\d+)?)", str(text))}
    )
    shapes = pd.DataFrame(list(pairs))
    return rows.assign(system=rows["hardware"], **{name: shapes[name] for name in shapes.columns})


GEMM_FP8 = Family(
    name="infersim_gemm_fp8",
    table=Table(file=FILE, columns=COLUMNS, group=["kernel"], site=["n", "k"], shape=["m", "n", "k"],
                times={"": "latency_us"}, prepare=lambda frame: unfolded(frame, "gemm_fp8")),
    curve=GemmCurve,
    fit=lambda rows, chip: fit_gemm(*numbers(rows, "m", "n", "k", "seconds"), chip=chip, precision="fp8"),
    predict=lambda rows, chip, curve: gemm_s(*numbers(rows, "m", "n", "k"), chip=chip, curve=curve),
    axes=["m", "n", "k"],
)  # fmt: skip

DECODE = Family(
    name="infersim_mla_decode",
    table=Table(file=FILE, columns=COLUMNS, group=["kernel", "variant"], site=[], shape=["heads", "batch", "kv_len"],
                times={"": "latency_us"}, prepare=lambda frame: unfolded(frame, "mla_core_decode")),
    curve=MlaDecodeCurve,
    fit=lambda rows, chip: fit_mla_decode(
        *numbers(rows.assign(queries=1), "heads", "queries", "batch", "kv_len", "seconds"), chip=chip, precision="bf16",
        kv_precision="bf16"),
    predict=lambda rows, chip, curve: mla_decode_s(
        *numbers(rows.assign(queries=1), "heads", "queries", "batch", "kv_len"), chip=chip, curve=curve),
    axes=["batch", "kv_len"],
)  # fmt: skip


def _with_share(frame: Rows) -> Rows:
    rows = unfolded(frame, "grouped_gemm")
    if rows.empty:
        return rows
    is_up = rows["kernel"].str.contains("_up_")
    return rows.assign(part=rows["inter"] * np.where(is_up, UP_SHARE, DOWN_SHARE))


def _counts(rows: Rows) -> FloatArray:
    """Even counts, shape (rows, 1 draw, experts)."""
    local, each = numbers(rows, "local", "tokens_per_expert")
    experts = np.arange(int(local.max()))
    return np.where(experts < local[:, None], each[:, None], 0.0)[:, None, :]


def _fit_grouped(rows: Rows, chip: Chip) -> GroupedGemmCurve:
    hidden, part, tokens, seconds = numbers(rows, "hidden", "part", "tokens_per_gpu", "seconds")
    return fit_grouped_gemm(_counts(rows), hidden, part, seconds, tokens * 0.0, chip=chip,
                            row_tile=ROW_TILE[only(rows, "variant")])  # fmt: skip


def _predict_grouped(rows: Rows, chip: Chip, curve: GroupedGemmCurve) -> FloatArray:
    load = expert_load(_counts(rows)[:, 0, :], row_tile=curve.row_tile)
    return grouped_gemm_s(load, *numbers(rows, "hidden", "part"), chip=chip, curve=curve)


GROUPED = Family(
    name="infersim_grouped_gemm",
    table=Table(file=FILE, columns=COLUMNS, group=["kernel", "variant"], site=["experts", "gpus", "hidden", "inter"],
                shape=["experts", "gpus", "hidden", "inter", "tokens_per_gpu"], times={"": "latency_us"},
                prepare=_with_share),
    curve=GroupedGemmCurve,
    fit=_fit_grouped,
    predict=_predict_grouped,
    axes=["hidden", "part", "local", "tokens_per_expert"],
)  # fmt: skip

INFERSIM_FAMILIES = (GEMM_FP8, DECODE, GROUPED)
