"""DeepEP's published tables by version: two effective parameters each, fitted on at most two rows of the version.

The formulas are those of the curves (`low_latency_s`, `normal_s`) with all that two figures cannot tell switched off:
low latency keeps a latency and the share of the NIC's rate, normal the shares of the NVLink's and the NIC's rates.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hw_profiles.curves.all_to_all import (
    RANKS_PER_NODE,
    LowLatencyCurve,
    NormalCurve,
    distinct_groups,
    low_latency_s,
    normal_s,
)
from hw_profiles.curves.base import FloatArray
from hw_profiles.fits.bounded import Free, fit_bounded
from validation.chips import CHIPS
from validation.collective_rows import CollectiveRow
from validation.transfer_families import FP8_VALUE_BYTES, HEADER_BYTES

_PUBLISHED = Path(__file__).parent / "published" / "collectives.toml"
Facts = Mapping[str, Any]
SIDES = ("dispatch", "combine")
LOW_LATENCY, NORMAL = "low_latency", "normal"  # the two kinds of tables
HIDDEN, TOP_K, EXPERTS = 7168.0, 8.0, 256.0  # DeepSeek-V3's, in all of DeepEP's tables
LOW_LATENCY_TOKENS = 128.0
NVLINK_SHARE = 0.8  # DeepEP README: about 160 GB/s at most over H800's NVLink of 200 GB/s each way
NO_LIMIT = 1e13  # bytes/s of a mechanism that is switched off
SHARP = 50.0  # a smooth maximum that is as good as the maximum
FREE_LOW_LATENCY = {"floor_s": Free(low=1e-7, high=1e-4), "nic_share": Free(low=0.2, high=1.0)}
FREE_NORMAL = {"nvlink_share": Free(low=0.1, high=1.0), "nic_share": Free(low=0.2, high=1.0)}
NORMAL_FLOOR_S = 2e-5  # the start value of `fit_normal`; under 2 % of every time in these tables


def published() -> Facts:
    """Return the typed facts."""
    return tomllib.loads(_PUBLISHED.read_text(encoding="utf-8"))


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a version's table: which all-to-all among how many ranks, and what was published."""

    side: str
    ranks: int
    value: float
    fitted: bool


def cells_of(version: Facts, unit: str) -> list[Cell]:
    """Return the cells of a version's table, in order; `unit` ends the names of its two columns."""
    return [
        Cell(side=side, ranks=int(ranks), value=float(value), fitted=f"{side} {ranks}" in version["fit"])
        for side in SIDES
        for ranks, value in version[f"{side}_{unit}"].items()
    ]


def low_latency_rows(facts: Facts) -> Iterator[CollectiveRow]:
    """Yield every cell of every low-latency table beside its prediction [us]."""
    for name, version in facts[LOW_LATENCY].items():
        cells = cells_of(version, "us")
        curve = fit_low_latency_version(version, [cell for cell in cells if cell.fitted])
        for cell in cells:
            yield _row(name, facts, LOW_LATENCY, cell, low_latency_cell_s(cell, version, curve) * 1e6)


def fit_low_latency_version(version: Facts, cells: Sequence[Cell]) -> LowLatencyCurve:
    """Return latency and NIC share that meet the fitted cells."""
    start = LowLatencyCurve(
        value_bytes=2.0, token_bytes=0.0, floor_s=1e-5, expert_s=0.0, knee_s=1e-12, nvlink_share=NVLINK_SHARE,
        sm_bytes_per_s=NO_LIMIT, sharpness=SHARP, nic_floor_s=0.0, nic_node_s=0.0, nic_loss=0.0,
    )  # fmt: skip

    def predict(curve: LowLatencyCurve) -> FloatArray:
        return np.array([low_latency_cell_s(cell, version, curve) for cell in cells])

    measured_s = np.array([cell.value for cell in cells]) * 1e-6
    curve: LowLatencyCurve = fit_bounded(predict, start, FREE_LOW_LATENCY, measured_s)
    return curve


def low_latency_cell_s(cell: Cell, version: Facts, curve: LowLatencyCurve) -> float:
    """Return the seconds of one low-latency cell: dispatch FP8 with scales and header, combine BF16."""
    width, header = (FP8_VALUE_BYTES, HEADER_BYTES) if cell.side == "dispatch" else (2.0, 0.0)
    shape = (LOW_LATENCY_TOKENS, HIDDEN, TOP_K, EXPERTS, float(cell.ranks))
    sided = replace(curve, value_bytes=width, token_bytes=header)
    return float(low_latency_s(*shape, chip=CHIPS["h800_sxm"], curve=sided, reach=version["reach"]))


def normal_rows(facts: Facts) -> Iterator[CollectiveRow]:
    """Yield every cell of every normal table beside its prediction [GB/s of logical bytes]."""
    for name, version in facts[NORMAL].items():
        cells = cells_of(version, "gb_per_s")
        curve = fit_normal_version(version, [cell for cell in cells if cell.fitted])
        for cell in cells:
            rate = logical_bytes(cell, version) / normal_cell_s(cell, version, curve) / 1e9
            yield _row(name, facts, NORMAL, cell, rate)


def fit_normal_version(version: Facts, cells: Sequence[Cell]) -> NormalCurve:
    """Return NVLink and NIC shares that meet the fitted cells; a share that none of them tells stays at its start."""
    start = NormalCurve(
        value_bytes=2.0, floor_s=NORMAL_FLOOR_S, choice_s=0.0, knee_s=1e-12, nvlink_share=NVLINK_SHARE,
        sm_bytes_per_s=NO_LIMIT, sharpness=SHARP, nic_floor_s=0.0, nic_node_s=0.0, nic_share=0.9, nic_loss=0.0,
        forward_bytes_per_s=NO_LIMIT, overlap=SHARP,
    )  # fmt: skip

    def predict(curve: NormalCurve) -> FloatArray:
        return np.array([normal_cell_s(cell, version, curve) for cell in cells])

    measured_s = np.array([logical_bytes(cell, version) / (cell.value * 1e9) for cell in cells])
    curve: NormalCurve = fit_bounded(predict, start, FREE_NORMAL, measured_s)
    return curve


def normal_cell_s(cell: Cell, version: Facts, curve: NormalCurve) -> float:
    """Return the seconds of one normal cell: one copy per rank over NVLink, one per other node over the NIC."""
    nodes, reached = _nodes(cell, version)
    shape = (version["tokens"], HIDDEN, ranks_reached(cell, version), reached * (1.0 - 1.0 / nodes), TOP_K, nodes)
    sided = replace(curve, value_bytes=_value_bytes(cell))
    return float(normal_s(*shape, float(version["sms"]), chip=CHIPS[version["machine"]], curve=sided))


def ranks_reached(cell: Cell, version: Facts) -> float:
    """Return the ranks that a token reaches: its choices fall on those of the nodes that its groups allow."""
    nodes, _ = _nodes(cell, version)
    allowed = min(nodes, version["most_nodes"]) * min(cell.ranks, RANKS_PER_NODE)
    return float(distinct_groups(float(allowed), TOP_K))


def logical_bytes(cell: Cell, version: Facts) -> float:
    """Return what the table's rates count [bytes]: copies to ranks on one node, else copies to nodes, the own one
    included (DeepEP, tests/test_intranode.py and test_internode.py)."""
    nodes, reached = _nodes(cell, version)
    copies = ranks_reached(cell, version) if nodes == 1 else reached
    return float(version["tokens"] * HIDDEN * _value_bytes(cell) * copies)


def _nodes(cell: Cell, version: Facts) -> tuple[float, float]:
    """Nodes of the group, and how many of them a token reaches."""
    nodes = max(1.0, cell.ranks / RANKS_PER_NODE)
    return nodes, float(distinct_groups(min(nodes, version["most_nodes"]), TOP_K))


def _value_bytes(cell: Cell) -> float:
    return FP8_VALUE_BYTES if cell.side == "dispatch" else 2.0


def _row(name: str, facts: Facts, kind: str, cell: Cell, predicted: float) -> CollectiveRow:
    """The row of a cell; rank counts beyond the fitted ones are out of range and have their own bar."""
    version, bars = facts[kind][name], facts["bars"]
    unit, far = ("us", "left_out") if kind == LOW_LATENCY else ("GB/s", "left_out_normal")
    known = [int(cell.split()[1]) for cell in version["fit"]]
    in_range = min(known) <= cell.ranks <= max(known)
    near = LOW_LATENCY if kind == LOW_LATENCY else "other"
    return CollectiveRow(
        group=f"DeepEP {name}", what=f"EP{cell.ranks} {cell.side}", predicted=predicted, measured=cell.value, unit=unit,
        source=version["source"], bar=bars[near if in_range else far], fitted=cell.fitted, in_range=in_range,
    )  # fmt: skip
