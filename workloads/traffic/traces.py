"""Recorded traffic: request traces in CSV or JSONL as chunks of requests, never the whole file at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from hw_profiles.faults import Fault, InputFaults
from workloads.ops import IntArray
from workloads.traffic.requests import NO_SESSION, Requests
from workloads.traffic.trace_columns import OUTPUT_NAMES, PROMPT_NAMES, TraceColumns, find, trace_columns
from workloads.traffic.trace_faults import LineFaults
from workloads.traffic.trace_rows import RawRows, open_trace
from workloads.traffic.trace_values import Clock, Column, Sessions, prefix_ids, token_counts

CHUNK_ROWS = 65_536
MOONCAKE_BLOCK_TOKENS = 512  # tokens per hash id (kvcache-ai/Mooncake, FAST25-release)


def read_trace(
    path: Path,
    *,
    n_requests: int | None = None,
    block_tokens: int = MOONCAKE_BLOCK_TOKENS,
    chunk_rows: int = CHUNK_ROWS,
) -> Iterator[Requests]:
    """Return the first `n_requests` (None: all) of a trace in chunks of `chunk_rows`; the first request comes at 0.

    Columns go by their names (docs/traffic.md); `block_tokens`: tokens per id of `hash_ids`. Raises InputFaults at once
    for a file that is none or lacks a column, and, once the sound chunks before it were taken, for the first malformed
    lines, all together (at most `MOST_FAULTS`).
    """
    file = open_trace(path)
    columns, faults = trace_columns(path.name, file.first_row), LineFaults(path.name)
    reader = _Reader(
        columns=columns,
        block_tokens=block_tokens,
        clock=Clock(columns.units_per_s),
        sessions=Sessions(),
        faults=faults,
    )
    raw_chunks = file.chunks(faults, chunk_rows=min(chunk_rows, n_requests or chunk_rows))
    return reader.chunks(raw_chunks, n_requests)


def recorded_lengths(path: Path, role: Literal["prompt", "output"]) -> IntArray:
    """Return the prompt's or output's tokens of every row of a file that need not hold times; raises InputFaults for
    a file that is none, lacks the column or has malformed lines."""
    file, known = open_trace(path), PROMPT_NAMES if role == "prompt" else OUTPUT_NAMES
    name = find(list(file.first_row), known)
    if name is None:
        got, allowed = f"columns {', '.join(file.first_row)}", f"a column named {', '.join(known)}"
        raise InputFaults([Fault(field=path.name, got=got, allowed=allowed, remedy="rename the column that holds it")])
    faults = LineFaults(path.name)
    chunks = file.chunks(faults, chunk_rows=CHUNK_ROWS)
    counts = [token_counts(_column(raw, name), faults) for raw in chunks]
    faults.check()
    return np.concatenate(counts)


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """What goes from chunk to chunk of one file."""

    columns: TraceColumns
    block_tokens: int
    clock: Clock
    sessions: Sessions
    faults: LineFaults

    def chunks(self, raw_chunks: Iterator[RawRows], n_requests: int | None) -> Iterator[Requests]:
        n_left = n_requests
        for raw in raw_chunks:
            taken = raw.first(n_left)
            requests = self._requests(taken)
            if n_left is not None and (n_left := n_left - len(requests)) == 0:
                self.faults.forget_after(taken.lines[-1])
            if not self.faults.any and len(requests):
                yield requests
            if n_left == 0:
                break
        self.faults.check()

    def _requests(self, raw: RawRows) -> Requests:
        columns, faults = self.columns, self.faults
        prompt_tokens_N = token_counts(_column(raw, columns.prompt), faults)
        session_N, prefixes = np.full(len(raw.rows), NO_SESSION, dtype=np.int64), None
        if columns.session:
            session_N = self.sessions.numbers(_column(raw, columns.session))
        if columns.prefix:
            prefixes = prefix_ids(_column(raw, columns.prefix), prompt_tokens_N, self.block_tokens, faults)
        return Requests(
            arrival_s_N=self.clock.seconds(_column(raw, columns.arrival), faults),
            prompt_tokens_N=prompt_tokens_N,
            output_tokens_N=token_counts(_column(raw, columns.output), faults),
            session_N=session_N,
            prefix_ids=prefixes,
            block_tokens=self.block_tokens if columns.prefix else 0,
        )


def _column(raw: RawRows, name: str) -> Column:
    return Column(name=name, values=raw.column(name), lines=raw.lines)
