"""A recorded vLLM run: what was asked, when each token came, how the engine stood from second to second.

Files of its folder: `meta.json` (model, vllm_version, engine_kwargs), `requests.jsonl` (a request a line: input_toks,
output_toks, arrival_time [s, wall clock], queued_ts, first_token_ts, last_token_ts [s, the engine's clock]) and
`timeseries.csv` (t [s], running, waiting, kv_cache_pct; may be absent).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from hw_profiles.faults import Fault, InputFaults
from workloads.traffic.requests import Requests

REQUEST_KEYS = ("input_toks", "output_toks", "arrival_time", "queued_ts", "first_token_ts", "last_token_ts")
SERIES_COLUMNS = ("t", "running", "waiting", "kv_cache_pct")
MOST_FAULTS = 10
_Read = TypeVar("_Read")


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """One run. `requests`: arrival_s, first_token_s, end_s since the first arrival [s], prompt_tokens, output_tokens,
    in the order in which the engine queued them; `series`: time_s, running, waiting, kv_used_share (no rows where none
    was recorded); `engine`: its arguments as given."""

    name: str
    folder: Path
    model: str
    vllm_version: str
    engine: Mapping[str, Any]
    kv_blocks: int
    requests: pd.DataFrame
    series: pd.DataFrame

    def traffic(self) -> Requests:
        """Return the run's own arrivals and lengths."""
        table = self.requests
        return Requests(
            arrival_s_N=table["arrival_s"].to_numpy(), prompt_tokens_N=table["prompt_tokens"].to_numpy(),
            output_tokens_N=table["output_tokens"].to_numpy(), session_N=np.full(len(table), -1, dtype=np.int64),
        )  # fmt: skip


def read_run(folder: Path) -> RecordedRun:
    """Return the run in `folder`; InputFaults names every fault of its files."""
    faults: list[Fault] = []
    meta = _collect(faults, lambda: _meta(folder / "meta.json")) or {}
    requests = _collect(faults, lambda: _requests(folder / "requests.jsonl"))
    series = _collect(faults, lambda: _series(folder / "timeseries.csv"))
    if faults or requests is None or series is None:
        raise InputFaults(faults)
    engine = meta["engine_kwargs"]
    return RecordedRun(
        name=folder.resolve().name, folder=folder, model=str(meta["model"]), vllm_version=str(meta["vllm_version"]),
        engine=engine, kv_blocks=_blocks(engine) or _blocks(meta), requests=requests, series=series,
    )  # fmt: skip


def _blocks(said: Mapping[str, Any]) -> int:
    """KV blocks where the run states them (num_gpu_blocks, kv_blocks, …), else 0."""
    found = [value for key, value in said.items() if "blocks" in key and isinstance(value, int) and value > 0]
    return found[0] if found else 0


def _collect(faults: list[Fault], read: Callable[[], _Read]) -> _Read | None:
    try:
        return read()
    except InputFaults as error:
        faults += error.faults
        return None


def _refuse(path: Path, got: str, allowed: str) -> InputFaults:
    return InputFaults([Fault(field=str(path), got=got, allowed=allowed, remedy="check the folder of the run")])


def _text(path: Path, allowed: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise _refuse(path, error.strerror or str(error), allowed) from None
    except UnicodeDecodeError:
        raise _refuse(path, "bytes that are no UTF-8", allowed) from None


def _meta(path: Path) -> Mapping[str, Any]:
    allowed = "a JSON object with model, vllm_version and engine_kwargs"
    try:
        meta = json.loads(_text(path, allowed))
    except json.JSONDecodeError as error:
        raise _refuse(path, str(error), allowed) from None
    missing = [key for key in ("model", "vllm_version", "engine_kwargs") if key not in meta] if (
        isinstance(meta, dict)) else ["object"]  # fmt: skip
    if missing:
        raise _refuse(path, f"no {', '.join(missing)}", allowed)
    if not isinstance(meta["engine_kwargs"], dict):
        raise _refuse(path, f"engine_kwargs {meta['engine_kwargs']!r}", allowed)
    return dict(meta)


def _requests(path: Path) -> pd.DataFrame:
    faults, rows = [], []
    for number, line in enumerate(_text(path, "a JSON object a line").splitlines(), start=1):
        if not line.strip():
            continue
        fault, row = _request(path, number, line)
        rows.append(row)
        faults += [fault] if fault else []
        if len(faults) == MOST_FAULTS:
            break
    if faults or not rows:
        raise InputFaults(faults or _refuse(path, "no request", "a JSON object a line").faults)
    return _on_one_clock(pd.DataFrame(rows, columns=list(REQUEST_KEYS)))


def _request(path: Path, number: int, line: str) -> tuple[Fault | None, list[float]]:
    """One line's numbers, or what is wrong with it."""
    allowed = f"a JSON object with numbers {', '.join(REQUEST_KEYS)}"
    try:
        row = json.loads(line)
        numbers = [float(row[key]) for key in REQUEST_KEYS]
    except (ValueError, TypeError, KeyError) as error:
        got = f"no {error}" if isinstance(error, KeyError) else str(error)
        return Fault(field=f"{path}:{number}", got=got, allowed=allowed, remedy="check this line"), []
    inputs, outputs, _, queued_s, first_s, last_s = numbers
    if inputs < 1 or outputs < 1 or not queued_s <= first_s <= last_s:
        got = f"{inputs:g} input and {outputs:g} output tokens, queued {queued_s}, first {first_s}, last {last_s}"
        fault = Fault(field=f"{path}:{number}", got=got, allowed="tokens above 0, times in order",
                      remedy="check this line")  # fmt: skip
        return fault, numbers
    return None, numbers


def _on_one_clock(rows: pd.DataFrame) -> pd.DataFrame:
    """Times since the first arrival. Wall clock and engine's clock differ by the least gap from arrival to queue: the
    engine looks for new requests between steps, so that the others' gaps are longer."""
    rows = rows.sort_values("queued_ts", kind="stable", ignore_index=True)
    shift_s = float((rows["queued_ts"] - rows["arrival_time"]).min())
    arrival_s = np.minimum.accumulate((rows["arrival_time"] + shift_s).to_numpy()[::-1])[::-1]
    zero_s = float(arrival_s.min())
    return pd.DataFrame({
        "arrival_s": arrival_s - zero_s, "first_token_s": rows["first_token_ts"] - zero_s,
        "end_s": rows["last_token_ts"] - zero_s, "prompt_tokens": rows["input_toks"].astype(np.int64),
        "output_tokens": rows["output_toks"].astype(np.int64),
    })  # fmt: skip


def _series(path: Path) -> pd.DataFrame:
    names = ["time_s", "running", "waiting", "kv_used_share"]
    if not path.is_file():
        return pd.DataFrame(columns=names, dtype=float)
    allowed = f"a CSV file with columns {', '.join(SERIES_COLUMNS)}"
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise _refuse(path, str(error).splitlines()[0], allowed) from None
    missing = [name for name in SERIES_COLUMNS if name not in table.columns]
    if missing:
        raise _refuse(path, f"no {', '.join(missing)}", allowed)
    numbers = pd.DataFrame({name: pd.to_numeric(table[name], errors="coerce") for name in SERIES_COLUMNS})
    if numbers.isna().to_numpy().any():
        raise _refuse(path, "a cell that is no number", allowed)
    numbers.columns = pd.Index(names)
    return numbers.assign(kv_used_share=numbers["kv_used_share"] / 100.0)
