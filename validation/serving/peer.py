"""The peer simulator's own comparison of a run, where its summary lies beside: `TPOT Mean 32.5 32.1 -1.0%`."""

import re
from pathlib import Path

FILE = "peer_summary.txt"
_ROW = re.compile(r"^(TTFT|TPOT|Latency)\s+(Mean|Median|P\d+)\s+[\d.]+\s+[\d.]+\s+([+-]?[\d.]+)%", re.MULTILINE)
_STATISTIC = {"Mean": "mean", "Median": "p50"}


def peer_errors(folder: Path) -> dict[tuple[str, str], float]:
    """Return the peer's signed errors by (metric, statistic); nothing where the run has no summary."""
    path = folder / FILE
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return {
        (metric.lower(), _STATISTIC.get(word, word.lower())): float(percent) / 100.0
        for metric, word, percent in _ROW.findall(text)
    }
