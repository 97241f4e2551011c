"""Rows that cannot be what their label says: faster than the datasheet allows, or than a sibling kernel by far."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from hw_profiles.curves.base import Chip, FloatArray
from hw_profiles.curves.gemm import gemm_roofline_s
from hw_profiles.curves.mla import LATENT, ROPE
from validation.families import Rows, numbers, only, precision_of

SIBLING_FACTOR = 3.0  # kernels for the same shape differ by 10 to 15 % (data README), versions by 2.1 at most
ROOFLINE_MARGIN = 0.95  # timers round
CACHED_BYTES = 5e7 / 6  # an L2 of 50 MB holds weights below this, though benchmarks rotate six copies (data README)
BEATS_ROOFLINE = "beats the datasheet roofline"
BEATS_SIBLING = f"over {SIBLING_FACTOR:g} times faster than a sibling kernel"

Roofline = Callable[[Rows, Chip], FloatArray]


def _gemm(rows: Rows, chip: Chip) -> FloatArray:
    """FLOPs over the peak; weights over the memory rate where they do not stay in the L2."""
    m, n, k = numbers(rows, "m", "n", "k")
    precision = precision_of(only(rows, "dtype"))
    compute_s = gemm_roofline_s(m, n, k, chip=chip, precision=precision)
    width = 2.0 if precision == "bf16" else 1.0
    peak = chip.peak_flops_per_s["bf16" if precision == "bf16" else "fp8"]
    return np.where(n * k * width > CACHED_BYTES, compute_s, 2.0 * m * n * k / peak)


def _decode(rows: Rows, chip: Chip) -> FloatArray:
    """The latent cache over the memory rate, where it does not stay in the L2."""
    batch, kv = numbers(rows, "batch_size", "kv_len")
    n_bytes = batch * kv * (LATENT + ROPE) * (1.0 if only(rows, "kv_cache_dtype") == "fp8" else 2.0)
    return np.where(n_bytes > CACHED_BYTES, n_bytes / chip.hbm_bytes_per_s, 0.0)


def _prefill(rows: Rows, chip: Chip) -> FloatArray:
    """Half of the score and value products (causal) over the peak."""
    heads, batch, length = numbers(rows, "num_heads", "batch_size", "seq_len")
    width = 576.0 + 512.0 if only(rows, "impl").endswith("absorbed") else 192.0 + 128.0
    peak = chip.peak_flops_per_s["fp8" if only(rows, "kv_cache_dtype") == "fp8" else "bf16"]
    return heads * batch * length * length * width / peak


def _copies_inside(rows: Rows, chip: Chip) -> FloatArray:
    """FP8 dispatch or bf16 combine of the copies that cross a NIC, one per node and token at least."""
    tokens, hidden, ranks = numbers(rows, "tokens_per_rank", "hidden", "ep")
    nodes = np.maximum(ranks / 8.0, 1.0)
    value_bytes = 1.0 if only(rows, "phase") == "dispatch" else 2.0
    return tokens * hidden * value_bytes * (1.0 - 1.0 / nodes) / chip.nic_bytes_per_s


def _pipe(rows: Rows, chip: Chip) -> FloatArray:
    return numbers(rows, "bytes")[0] / (2.0 * chip.nvlink_bytes_per_s)  # in-switch sums halve what a rank sends


ROOFLINES: Mapping[str, Roofline] = {
    "gemm": _gemm, "mla_generation_kernel": _decode, "mla_context_kernel": _prefill,
    "deepep_low_latency": _copies_inside, "deepep_normal": _copies_inside, "collectives": _pipe,
}  # fmt: skip


def mark_suspicious(family: str, rows: Rows, chip: Chip, siblings: Sequence[Rows], keys: Sequence[str]) -> Rows:
    """Return the rows of one group with `fault` set on those that beat the roofline, or all `siblings` of that shape.

    `keys`: the columns of a shape; `siblings`: the same table by other backends.
    """
    fault = rows["fault"].copy()
    if family in ROOFLINES:
        beaten = rows["seconds"].to_numpy() < ROOFLINE_MARGIN * ROOFLINES[family](rows, chip)
        fault = fault.mask((fault == "") & beaten, BEATS_ROOFLINE)
    if siblings:
        others = pd.concat(siblings).groupby(list(keys))["seconds"].min()
        least = others.reindex(pd.MultiIndex.from_frame(rows[list(keys)])).to_numpy()
        beaten = rows["seconds"].to_numpy() * SIBLING_FACTOR < least  # no sibling: NaN compares as false
        fault = fault.mask((fault == "") & beaten, BEATS_SIBLING)
    return rows.assign(fault=fault)
