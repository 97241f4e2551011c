"""Measured MoE blocks: seconds over tokens and the experts that they activate."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from validation.serving.lines import Line, bracket


@dataclass(frozen=True, kw_only=True)
class ExpertTable:
    """Seconds of one MoE block (router and experts) by tokens, of each a line over the activated experts."""

    tokens: Sequence[int]
    lines: Sequence[Line]

    def at(self, tokens: float, activated: float) -> float:
        """Return the seconds of `tokens` that activate `activated` experts in all [s]."""
        left, share = bracket(self.tokens, tokens)
        low = self.lines[left].at(_within(self.lines[left], activated))
        if share == 0.0:
            return low
        return (1.0 - share) * low + share * self.lines[left + 1].at(_within(self.lines[left + 1], activated))


def _within(line: Line, activated: float) -> float:
    """Few tokens cannot activate many experts: a row of the table ends where its tokens do, and so does its line."""
    return min(max(activated, line.xs[0]), line.xs[-1])


def expert_table(rows: pd.DataFrame) -> ExpertTable:
    """Return the table of `rows` (tokens, activated_experts, seconds)."""
    lines = {
        int(str(tokens)): Line(xs=part["activated_experts"].tolist(), seconds=part["seconds"].tolist())
        for tokens, part in rows.sort_values("activated_experts").groupby("tokens")
    }
    return ExpertTable(tokens=list(lines), lines=list(lines.values()))


def expected_activated(n_experts: int, top_k: int, tokens: float) -> float:
    """Return how many of `n_experts` at least one token picks, each picking `top_k` evenly: N (1 - (1 - K/N)^T)."""
    return n_experts * (1.0 - float((1.0 - top_k / n_experts) ** tokens))
