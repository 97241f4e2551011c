"""Published one-sided NVLink all-to-alls: two effective parameters, fitted on two rows, predict the other rows.

The router of the published runs spreads each token's choices evenly: it reaches min(top-k, ranks) ranks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hw_profiles.curves.base import FloatArray
from hw_profiles.curves.pipe import PipeCurve, pipe_s
from hw_profiles.fits.bounded import Free, fit_bounded
from validation.chips import CHIPS
from validation.collective_rows import CollectiveRow
from validation.collective_versions import SIDES, Facts

FREE = {"floor_s": Free(low=1e-7, high=1e-4), "share": Free(low=0.1, high=1.0)}


@dataclass(frozen=True, kw_only=True)
class _Time:
    """One published time: which all-to-all, among how many ranks, of how many tokens per rank."""

    side: str
    ranks: int
    tokens: int
    measured_us: float
    fitted: bool


def one_sided_rows(facts: Facts) -> Iterator[CollectiveRow]:
    """Yield every published time of one-sided kernels beside its prediction [us]."""
    for name, table in facts["one_sided"].items():
        times = _times(table)
        curve = _fit([time for time in times if time.fitted], table)
        for time in times:
            yield CollectiveRow(
                group=f"one-sided {name}", what=f"EP{time.ranks} {time.side}, {time.tokens} tokens",
                predicted=one_sided_s(time.tokens, time.ranks, table, curve) * 1e6, measured=time.measured_us,
                unit="us", source=table["source"], bar=facts["bars"]["other"], fitted=time.fitted,
            )  # fmt: skip


def one_sided_s(tokens: int, ranks: int, table: Facts, curve: PipeCurve) -> float:
    """Return the seconds of one all-to-all: min(top-k, ranks) copies of each token, of which the rank's own share stays
    where it is."""
    copies = min(table["top_k"], ranks) * (1.0 - 1.0 / ranks)
    n_bytes = tokens * copies * table["hidden"] * table["value_bytes"]
    link = CHIPS[table["machine"]].nvlink_bytes_per_s
    return float(pipe_s(n_bytes, float(ranks), link_bytes_per_s=link, curve=curve))


def _times(table: Facts) -> list[_Time]:
    return [
        _Time(side=side, ranks=int(ranks), tokens=int(tokens), measured_us=float(measured),
              fitted=f"{side} {ranks} {tokens}" in table["fit"])
        for side in SIDES
        for ranks, by_tokens in table[f"{side}_us"].items()
        for tokens, measured in by_tokens.items()
    ]  # fmt: skip


def _fit(times: list[_Time], table: Facts) -> PipeCurve:
    """Latency and share of the NVLink's rate that meet the fitted times."""

    def predict(curve: PipeCurve) -> FloatArray:
        return np.array([one_sided_s(time.tokens, time.ranks, table, curve) for time in times])

    start = PipeCurve(floor_s=1e-5, rank_s=0.0, step_s=0.0, share=0.7, growth=0.0)
    curve: PipeCurve = fit_bounded(predict, start, FREE, np.array([time.measured_us for time in times]) * 1e-6)
    return curve
