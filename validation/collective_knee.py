"""How many SMs a normal all-to-all needs: where its time stops falling, measured and predicted."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hw_profiles.curves.base import FloatArray
from hw_profiles.curves.records import from_record
from validation.calibrate import find_table, groups_of, sound
from validation.collective_rows import CollectiveRow
from validation.transfer_families import DEEPEP_NORMAL

MACHINE = "h100_sxm"
NEAR = 0.10  # of the time with most SMs: what counts as no longer falling
LARGE_TOKENS = 1024  # below it latencies hide what SMs do


def knee(sms: Sequence[float], seconds: FloatArray) -> float:
    """Return the fewest SMs from which on no more of them make it faster by a tenth."""
    order = np.argsort(sms)
    sorted_sms, sorted_s = np.asarray(sms, dtype=float)[order], np.asarray(seconds)[order]
    near = sorted_s <= sorted_s[-1] * (1.0 + NEAR)
    first = len(near) - int(np.argmin(near[::-1])) if not near.all() else 0
    return float(sorted_sms[first])


def knee_rows(data: Path, fitted: Mapping[str, Any]) -> Iterator[CollectiveRow]:
    """Yield the knees of every node count and message that was measured with several SM counts, by the shipped curve;
    shown without a verdict, because the curve was fitted on these rows."""
    path = find_table(data, DEEPEP_NORMAL.table.file)
    if path is None:
        return
    for group in groups_of(DEEPEP_NORMAL, path):
        if group.machine != MACHINE:
            continue
        curve = from_record(fitted[MACHINE]["families"][DEEPEP_NORMAL.name][group.name])
        rows = sound(group.rows)
        rows = rows[(rows["nodes"] > 1) & (rows["tokens_per_rank"] >= LARGE_TOKENS)]
        rows = rows.assign(predicted_s=DEEPEP_NORMAL.predict(rows, group.chip, curve))
        for (nodes, tokens), part in rows.groupby(["nodes", "tokens_per_rank"], sort=True):
            yield _row(group.name, f"{nodes} nodes, {tokens} tokens per rank", part)


def _row(side: str, what: str, part: pd.DataFrame) -> CollectiveRow:
    sms = part["sms"].tolist()
    return CollectiveRow(
        group=f"{MACHINE} knee of normal {side}", what=what, predicted=knee(sms, part["predicted_s"].to_numpy()),
        measured=knee(sms, part["seconds"].to_numpy()), unit="SMs", source=DEEPEP_NORMAL.table.file, bar=None,
    )  # fmt: skip
