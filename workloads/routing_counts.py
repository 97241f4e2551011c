"""Measured expert counts from a file: one count per expert, JSON list or one number per line."""

import json
from pathlib import Path

import numpy as np

from workloads.ops import FloatArray


def read_counts(path: str, n_experts: int, *, at_least: int) -> FloatArray:
    """Return the tokens that chose each of `n_experts` experts, (N,); `at_least` so many of them were chosen at all.

    Raises ValueError with one line that names the file, what it held and what is needed.
    """
    text = _text(path)
    try:
        values = json.loads(text) if text.lstrip().startswith("[") else [float(line) for line in text.split()]
        counts_N = np.asarray(values, dtype=float)
    except ValueError as error:
        msg = f"routing.popularity: {path} is not a list of numbers ({error}); write one count per expert"
        raise ValueError(msg) from error
    if counts_N.shape != (n_experts,):
        msg = f"routing.popularity: {path} holds {counts_N.size} counts; allowed exactly {n_experts}, one per expert"
        raise ValueError(msg)
    if not np.all(np.isfinite(counts_N)) or np.any(counts_N < 0) or counts_N.sum() == 0:
        msg = f"routing.popularity: {path} holds negative, infinite or only zero counts; allowed counts >= 0"
        raise ValueError(msg)
    chosen = int(np.count_nonzero(counts_N))
    if chosen < at_least:
        msg = f"routing.popularity: {path} has {chosen} experts with tokens; allowed at least top-k, {at_least}"
        raise ValueError(msg)
    return counts_N


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError as error:
        msg = f"routing.popularity: got {path}; allowed a readable file of counts ({error.strerror}); check the path"
        raise ValueError(msg) from error
