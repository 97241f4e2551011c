"""Kernel tables of a GPU: measured times of every layer of a model at one tensor-parallel degree.

A folder holds, for the degree N, `tpN_dense.csv` (layer, tokens, time_us), `tpN_per_sequence.csv` (layer, sequences,
time_us), `tpN_attention.csv` (prefill_chunk, kv_prefill, n_decode, kv_decode, time_us), of MoE models `tpN_moe.csv`
(tokens, activated_experts, time_us), or the same files without prefix in a folder `tpN`; and `profile_meta.yaml` (or
`meta.yaml`) with gpu and model. This is what the profiler of LLMServingSim (casys-kaist, MIT) writes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from hw_profiles.faults import Fault, InputFaults
from validation.serving.attention_table import AttentionTable, attention_table
from validation.serving.expert_table import ExpertTable, expert_table
from validation.serving.lines import Line

COLUMNS: Mapping[str, Sequence[str]] = {
    "dense": ("layer", "tokens", "time_us"),
    "per_sequence": ("layer", "sequences", "time_us"),
    "attention": ("prefill_chunk", "kv_prefill", "n_decode", "kv_decode", "time_us"),
    "moe": ("tokens", "activated_experts", "time_us"),
}
META_FILES = ("profile_meta.yaml", "meta.yaml")
DEGREE = re.compile(r"tp(\d+)(?:_\w+\.csv)?")
ONCE = ("embedding", "final_layernorm")  # every other dense layer stands in each block
PLAIN: Mapping[str, object] = {"decode_q_len": 1, "ep": 1}
NORMS_PER_BLOCK = 2  # before attention and before the FFN; the table has one
_S_PER_US = 1e-6


@dataclass(frozen=True, kw_only=True)
class KernelTables:
    """Times of one model's layers on one GPU at `degree`: dense layers over tokens and those per sequence by name,
    attention of one layer, MoE block of one layer (None: dense model)."""

    gpu: str
    model: str
    degree: int
    dense: Mapping[str, Line]
    per_sequence: Mapping[str, Line]
    attention: AttentionTable
    experts: ExpertTable | None = None


def table_degrees(folder: Path) -> list[int]:
    """Return the tensor-parallel degrees that `folder` has tables of, ascending."""
    found = (DEGREE.fullmatch(path.name) for path in folder.glob("tp*"))
    return sorted({int(match.group(1)) for match in found if match})


def read_kernel_tables(folder: Path, degree: int) -> KernelTables:
    """Return the tables of `degree` in `folder`; InputFaults names every fault of every file at once."""
    meta, faults = read_meta(folder)
    tables: dict[str, pd.DataFrame] = {}
    for kind in COLUMNS:
        path = table_path(folder, degree, kind)
        if kind == "moe" and not path.is_file():
            continue
        try:
            tables[kind] = _read(path, kind)
        except InputFaults as error:
            faults += error.faults
    if faults:
        raise InputFaults(faults)
    return KernelTables(
        gpu=str(meta["gpu"]), model=str(meta["model"]), degree=degree,
        dense=_lines(tables["dense"], "tokens"), per_sequence=_lines(tables["per_sequence"], "sequences"),
        attention=attention_table(tables["attention"]),
        experts=expert_table(tables["moe"]) if "moe" in tables else None,
    )  # fmt: skip


def table_path(folder: Path, degree: int, kind: str) -> Path:
    """Return where the table of a kind stands: in a folder of its degree where there is one."""
    nested = folder / f"tp{degree}"
    return nested / f"{kind}.csv" if nested.is_dir() else folder / f"tp{degree}_{kind}.csv"


def read_meta(folder: Path) -> tuple[Mapping[str, Any], list[Fault]]:
    """Return what the folder says of its measurement, and the faults of that file."""
    path = next((folder / name for name in META_FILES if (folder / name).is_file()), folder / META_FILES[0])
    try:
        meta = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        return {}, [table_fault(path, error.strerror or str(error), "a readable YAML file with gpu and model")]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return {}, [table_fault(path, str(error).splitlines()[0], "a readable YAML file with gpu and model")]
    named = meta if isinstance(meta, dict) else {}
    missing = [key for key in ("gpu", "model") if not named.get(key)]
    return named, [table_fault(path, f"no {key}", "gpu and model") for key in missing]


def table_fault(path: Path, got: str, allowed: str) -> Fault:
    """Return the fault of a file among kernel tables."""
    return Fault(field=str(path), got=got, allowed=allowed, remedy="check the folder of kernel tables")


def _read(path: Path, kind: str) -> pd.DataFrame:
    """Return a table with `seconds` in place of microseconds, repeated points averaged, kernels of one layer added."""
    allowed = f"a CSV file with columns {', '.join(COLUMNS[kind])}"
    try:
        rows = pd.read_csv(path)
    except OSError as error:
        raise InputFaults([table_fault(path, error.strerror or str(error), allowed)]) from None
    except (ValueError, UnicodeDecodeError) as error:  # pandas' parser errors are ValueErrors
        raise InputFaults([table_fault(path, str(error).splitlines()[0], allowed)]) from None
    missing = [name for name in COLUMNS[kind] if name not in rows.columns]
    if missing or rows.empty:
        raise InputFaults([table_fault(path, f"no {', '.join(missing) or 'rows'}", allowed)])
    if faults := list(_bad_numbers(path, rows, kind)):
        raise InputFaults(faults)
    sizes = [name for name in COLUMNS[kind] if name != "time_us"]
    rows = _plain(rows).assign(seconds=lambda table: table["time_us"] * _S_PER_US)
    each = rows.groupby([*sizes, "layer"] if "layer" in rows and "layer" not in sizes else sizes, sort=True)["seconds"]
    return each.mean().groupby(level=sizes).sum().reset_index()  # of several attention kernels in a layer, all run


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """Without the rows of later profilers for speculation and for shards of the experts."""
    for name, kept in PLAIN.items():
        if name in rows.columns and (rows[name] == kept).any():
            rows = rows[rows[name] == kept]
    return rows


def _bad_numbers(path: Path, rows: pd.DataFrame, kind: str) -> list[Fault]:
    faults = []
    for name in COLUMNS[kind]:
        if name == "layer":
            continue
        numbers = pd.to_numeric(rows[name], errors="coerce")
        bad = ~np.isfinite(numbers) | (numbers <= 0 if name == "time_us" else numbers < 0)
        if bad.any():
            line = int(np.flatnonzero(bad)[0]) + 2  # the first line holds the names
            word = "a time above 0" if name == "time_us" else "a whole number, 0 or more"
            got = f"{rows[name].iloc[line - 2]!r} in column {name}, line {line} ({int(bad.sum())} such)"
            faults.append(table_fault(path, got, word))
    return faults


def _lines(rows: pd.DataFrame, axis: str) -> dict[str, Line]:
    return {
        str(layer): Line(xs=part[axis].tolist(), seconds=part["seconds"].tolist())
        for layer, part in rows.groupby("layer", sort=True)
    }
