"""Overheads of backends from half of the configurations: `python -m validation.clusters.silicon_fit DATA`.

Relative least squares (of logarithms, softened beyond 10 %) of TPOT and TTFT over replays of the rows, each set of one
backend on one generation of GPUs by itself, within the bounds of `silicon_steps.BOUNDS`. Configurations weigh alike,
however many rows they have, and every overhead is held near `_EXPECTED`: kernels were measured one by one, so that few
configurations do not move their factors far from 1.
"""

import sys
from collections import Counter
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
_MOST_ROWS = 8  # of a configuration, evenly over the table
_MOST_USERS = 128  # rows of more are predicted, not fitted on: their replays take long
_DIFFERENT = 0.25  # points whose repeats differ by more are not fitted on: drafts may have been on in one of them
_WAVES = 3
_SOFT = 0.1
_ERROR = 0.1  # of a configuration, beside which widths count
# Overhead to what it is expected to be and how wide that is: of factors in logarithms, of times in their own unit [s].
_EXPECTED: Mapping[str, tuple[float, float]] = {
    "decode_factor": (1.0, 0.1),
    "prompt_factor": (1.0, 0.15),
    "launch_s": (30e-6, 30e-6),
    "sequence_s": (1e-6, 3e-6),
    "request_s": (30e-3, 50e-3),
    "token_s": (2e-6, 4e-6),
}
_EVALUATIONS = 6
_STEP = 0.02  # of a bound's range, to see where errors go
_HEAD = """\
# Overheads of backends, fitted by `python -m validation.clusters.silicon_fit DATA` on the configurations of
# silicon_moe_e2e.csv whose name's SHA-256 begins with an even byte ({n} rows), and judged on the others.
# Not fitted on: rows whose speculation is unknown, those of more than {users} users, points whose repeats differ by
# more than {different:.0%}.
"""


def fit_all(data: Path) -> tuple[Mapping[str, Overheads], int]:
    """Return the overheads of every set, and how many rows they were fitted on."""
    facts = read_facts()
    sets: dict[str, list[SiliconRow]] = {}
    for rows in _configurations(data).values():
        sets.setdefault(overheads_key(rows[0], facts), []).extend(rows)
    fitted = in_processes(partial(fit_set, facts), list(sets.values()))
    return dict(zip(sets, fitted, strict=True)), sum(len(rows) for rows in sets.values())


def _configurations(data: Path) -> Mapping[str, Sequence[SiliconRow]]:
    """The rows that are fitted on, by configuration."""
    found: dict[str, list[SiliconRow]] = {}
    points: dict[tuple[Any, ...], list[SiliconRow]] = {}
    for row in aggregated_rows(read_table(data)):
        if row.is_fitted and not row.speculation_unknown and row.users <= _MOST_USERS:
            points.setdefault((row.configuration, row.isl, row.osl, row.users), []).append(row)
    for (name, *_), rows in points.items():
        times = [row.tpot_s for row in rows]
        if max(times) <= (1.0 + _DIFFERENT) * min(times):
            found.setdefault(name, []).append(rows[0])
    return {name: rows[:: ceil(len(rows) / _MOST_ROWS)] for name, rows in found.items()}


def fit_set(facts: Facts, rows: Sequence[SiliconRow]) -> Overheads:
    """Return the overheads that bring the replays of `rows` closest to what was measured."""
    known: dict[tuple[Any, ...], Served] = {}
    usable = [(row, served) for row in rows if (served := _served(row, facts, known))]
    low, high = (np.array([bound[end] for bound in BOUNDS.values()]) for end in (0, 1))
    start = (np.array([_EXPECTED[name][0] for name in BOUNDS]) - low) / (high - low)
    n_rows = Counter(row.configuration for row, _ in usable)
    weight_N = np.array([n_rows[row.configuration] ** -0.5 for row, _ in usable])

    def errors(shares: FloatArray) -> FloatArray:
        values = dict(zip(BOUNDS, (low + shares * (high - low)).tolist(), strict=True))
        found = [(row, served.latencies(row, Overheads(**values), _WAVES)) for row, served in usable]
        tpot_N = np.array([log(latencies.tpot_s / row.tpot_s) for row, latencies in found])
        ttft_N = np.array([log(latencies.ttft_s / row.ttft_s) for row, latencies in found])
        return np.concatenate([weight_N * tpot_N, weight_N * ttft_N, _unexpected(values)])

    best = least_squares(errors, start, bounds=(0.0, 1.0), loss="soft_l1", f_scale=_SOFT, diff_step=[_STEP] * len(low),
                         max_nfev=_EVALUATIONS)  # fmt: skip
    return Overheads(**dict(zip(BOUNDS, (low + best.x * (high - low)).tolist(), strict=True)))


def _unexpected(values: Mapping[str, float]) -> list[float]:
    """How far overheads are from what is expected, in errors of one configuration."""
    off = {name: log(values[name]) - log(at) if name.endswith("factor") else values[name] - at
           for name, (at, _) in _EXPECTED.items()}  # fmt: skip
    return [_ERROR * off[name] / width for name, (_, width) in _EXPECTED.items()]


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
    text = _HEAD.format(n=n_rows, users=_MOST_USERS, different=_DIFFERENT)
    for name, overheads in sorted(fitted.items()):
        values = "\n".join(f"{key} = {value:.4g}" for key, value in asdict(overheads).items())
        text += f"\n[sets.{name}]\n{values}\n"
    _FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_overheads(*fit_all(Path(sys.argv[1])))
