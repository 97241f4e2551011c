"""Measured attention of mixed steps: one prompt chunk after its cached tokens, beside decodes of equal contexts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from validation.serving.lines import Line, bracket


@dataclass(frozen=True, kw_only=True)
class DecodeGrid:
    """Seconds over decode sequences and, of each number of them, a line over the tokens that each has cached."""

    n_decodes: Sequence[int]
    lines: Sequence[Line]

    def at(self, n_decode: int | float, context: float) -> float:
        """Return the seconds of `n_decode` sequences that each read `context` tokens [s]."""
        left, share = bracket(self.n_decodes, n_decode)
        low = self.lines[left].at(context)
        return low if share == 0.0 else (1.0 - share) * low + share * self.lines[left + 1].at(context)


@dataclass(frozen=True, kw_only=True)
class ChunkRow:
    """What was measured with one size of prompt chunk: alone over its history, and with decodes at some histories."""

    alone: Line | None
    histories: Sequence[int]
    beside: Sequence[DecodeGrid]

    def at(self, history: float, n_decode: int | float, context: float) -> float:
        """Return the seconds [s]."""
        if not n_decode:
            assert self.alone is not None, "checked when the table was read"
            return self.alone.at(history)
        left, share = bracket(self.histories, history)
        low = self.beside[left].at(n_decode, context)
        return low if share == 0.0 else (1.0 - share) * low + share * self.beside[left + 1].at(n_decode, context)


@dataclass(frozen=True, kw_only=True)
class AttentionTable:
    """Seconds of one layer's attention, by chunk [tokens]: linear between measured points, exact on them."""

    rows: Mapping[int, ChunkRow]
    chunks_alone: Sequence[int]
    chunks_beside: Sequence[int]

    def at(self, *, chunk: float, history: float, n_decode: int | float, context: float) -> float:
        """Return the seconds of a chunk after `history` cached tokens beside decodes of `context` tokens each [s]."""
        if not chunk and not n_decode:
            return 0.0
        chunks = self.chunks_beside if n_decode else self.chunks_alone
        left, share = bracket(chunks, chunk)
        low = self.rows[chunks[left]].at(history, n_decode, context)
        if share == 0.0:
            return low
        return (1.0 - share) * low + share * self.rows[chunks[left + 1]].at(history, n_decode, context)


def attention_table(rows: pd.DataFrame) -> AttentionTable:
    """Return the table of `rows` (prefill_chunk, kv_prefill, n_decode, kv_decode, seconds)."""
    by_chunk = {int(str(chunk)): _chunk_row(part) for chunk, part in rows.groupby("prefill_chunk")}
    return AttentionTable(
        rows=by_chunk, chunks_alone=[chunk for chunk, row in by_chunk.items() if row.alone is not None],
        chunks_beside=[chunk for chunk, row in by_chunk.items() if row.beside],
    )  # fmt: skip


def _chunk_row(rows: pd.DataFrame) -> ChunkRow:
    alone = rows[rows["n_decode"] == 0]
    grids = {int(str(history)): _grid(part) for history, part in rows[rows["n_decode"] > 0].groupby("kv_prefill")}
    return ChunkRow(alone=_line(alone, "kv_prefill") if len(alone) else None, histories=list(grids),
                    beside=list(grids.values()))  # fmt: skip


def _grid(rows: pd.DataFrame) -> DecodeGrid:
    lines = {int(str(n)): _line(part, "kv_decode") for n, part in rows.groupby("n_decode")}
    return DecodeGrid(n_decodes=list(lines), lines=list(lines.values()))


def _line(rows: pd.DataFrame, axis: str) -> Line:
    ordered = rows.sort_values(axis)
    return Line(xs=ordered[axis].tolist(), seconds=ordered["seconds"].tolist())
