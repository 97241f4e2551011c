"""The accuracy that curves must reach on rows outside the fit: typed facts, and which group each one binds."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PUBLISHED = Path(__file__).parent / "published" / "kernel_bars.toml"
FEWEST_JUDGED = 8  # fewer held-out rows carry no verdict: one odd row would decide


@dataclass(frozen=True, kw_only=True)
class Bar:
    """Largest median absolute error of held-out points and sites, and of the 90th percentile (None: reported alone).

    `words`: every one of them begins a part of the curve's name; `band`: a class of sizes, empty for all.
    """

    family: str
    point: float
    site: float
    words: Sequence[str] = ()
    band: str = ""
    p90: float | None = None

    def binds(self, family: str, curve: str, band: str) -> bool:
        """Return whether the bar is about this group."""
        parts = curve.split("|")
        named = all(any(part.startswith(word) for part in parts) for word in self.words)
        return self.family == family and self.band == band and named


def read_bars() -> list[Bar]:
    """Return the bars."""
    return [Bar(**row) for row in tomllib.loads(_PUBLISHED.read_text(encoding="utf-8"))["bar"]]


def verdict(bars: Sequence[Bar], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return {"bar": {"median", "p90"} or None, "ok": met, missed or None} of one group's errors on one split."""
    nothing = {"bar": None, "ok": None}
    if row["split"] not in ("point", "site") or row["curve"] is None or row["n"] < FEWEST_JUDGED:
        return nothing
    bar = next((bar for bar in bars if bar.binds(row["family"], row["curve"], row["band"])), None)
    if bar is None:
        return nothing
    most = {"median": bar.point if row["split"] == "point" else bar.site, "p90": bar.p90}
    return {"bar": most, "ok": all(limit is None or row[name] <= limit for name, limit in most.items())}
