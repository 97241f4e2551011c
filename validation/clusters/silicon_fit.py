"""Overheads of backends from half of the configurations: `python -m validation.clusters.silicon_fit DATA`.

Relative least squares (of logarithms, softened beyond 10 %) of TPOT and TTFT over replays of the rows, each set of one
backend on one generation of GPUs by itself, within the bounds of `silicon_steps.BOUNDS`.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from math import ceil, log
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from hw_profiles.faults import InputFaults
from validation.clusters.silicon_predictions import OVERHEADS, in_processes, overheads_key
from validation.clusters.silicon_replay import Served, deployment_key
from validation.clusters.silicon_rows import SiliconRow, aggregated_rows, read_table
from validation.clusters.silicon_scenarios import Facts, read_facts
from validation.clusters.silicon_steps import BOUNDS, Overheads
from validation.published_facts import PUBLISHED
from workloads.ops import FloatArray

_FILE = PUBLISHED / "clusters" / f"{OVERHEADS}.toml"
_MOST_ROWS = 80  # of a set, evenly over the table
_MOST_USERS = 64  # rows of more are predicted, not fitted on: their replays take long
_WAVES = 3
_SOFT = 0.1
_START: Mapping[str, float] = {
    "kernel_factor": 1.0,
    "kernel_s": 1e-6,
    "sequence_s": 2e-6,
    "prompt_kernel_s": 20e-6,
    "request_s": 20e-3,
}
_EVALUATIONS = 6
_STEP = 0.02  # of a bound's range, to see where errors go
_HEAD = """\
# Overheads of backends, fitted by `python -m validation.clusters.silicon_fit DATA` on the configurations of
# silicon_moe_e2e.csv whose name's SHA-256 begins with an even byte ({n} rows), and judged on the others.
# Rows whose speculation is unknown, and those of more than {users} users, are not fitted on.
"""


def fit_all(data: Path) -> tuple[Mapping[str, Overheads], int]:
    """Return the overheads of every set, and how many rows they were fitted on."""
    facts = read_facts()
    sets: dict[str, list[SiliconRow]] = {}
    for row in aggregated_rows(read_table(data)):
        if row.is_fitted and not row.speculation_unknown and row.users <= _MOST_USERS:
            sets.setdefault(overheads_key(row, facts), []).append(row)
    thinned = [rows[:: ceil(len(rows) / _MOST_ROWS)] for rows in sets.values()]
    fitted = in_processes(partial(fit_set, facts), thinned)
    return dict(zip(sets, fitted, strict=True)), sum(len(rows) for rows in thinned)


def fit_set(facts: Facts, rows: Sequence[SiliconRow]) -> Overheads:
    """Return the overheads that bring the replays of `rows` closest to what was measured."""
    known: dict[tuple[Any, ...], Served] = {}
    usable = [(row, served) for row in rows if (served := _served(row, facts, known))]
    low, high = (np.array([bound[end] for bound in BOUNDS.values()]) for end in (0, 1))
    start = (np.array([_START[name] for name in BOUNDS]) - low) / (high - low)

    def errors(shares: FloatArray) -> list[float]:
        overheads = Overheads(**dict(zip(BOUNDS, (low + shares * (high - low)).tolist(), strict=True)))
        found = [(row, served.latencies(row, overheads, _WAVES)) for row, served in usable]
        tpot = [log(latencies.tpot_s / row.tpot_s) for row, latencies in found]
        return tpot + [log(latencies.ttft_s / row.ttft_s) for row, latencies in found]

    best = least_squares(errors, start, bounds=(0.0, 1.0), loss="soft_l1", f_scale=_SOFT, diff_step=[_STEP] * len(low),
                         max_nfev=_EVALUATIONS)  # fmt: skip
    return Overheads(**dict(zip(BOUNDS, (low + best.x * (high - low)).tolist(), strict=True)))


def _served(row: SiliconRow, facts: Facts, known: dict[tuple[Any, ...], Served]) -> Served | None:
    """The row's deployment; None where it has none, or no room for its KV cache."""
    key = deployment_key(row)
    try:
        served = known[key] = known.get(key) or Served(row, facts)
        served.latencies(row, Overheads(), _WAVES)
    except InputFaults:
        return None
    return served


def write_overheads(fitted: Mapping[str, Overheads], n_rows: int) -> None:
    """Write the file that predictions read."""
    text = _HEAD.format(n=n_rows, users=_MOST_USERS)
    for name, overheads in sorted(fitted.items()):
        values = "\n".join(f"{key} = {value:.4g}" for key, value in asdict(overheads).items())
        text += f"\n[sets.{name}]\n{values}\n"
    _FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_overheads(*fit_all(Path(sys.argv[1])))
