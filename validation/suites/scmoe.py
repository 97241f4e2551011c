"""The ScMoE paper's speedups, hidden shares and rules of thumb, from block pairs run through the engine.

Two times per table are unknown and fitted on some of its rows; the other rows are predictions. Fitted rows carry no
verdict and stay out of every summary.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import bisect

from simulator.metrics import device_times
from validation.block_pair_fit import Speedup, fit_pair
from validation.block_pairs import Design, PairTimes, elapsed, pair_run, speedup

_PUBLISHED = Path(__file__).parent.parent / "published" / "scmoe.toml"
TOLERANCE = 0.05  # of a predicted speedup
Facts = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ScmoeRow:
    """One figure: predicted beside the published one. `fitted`: it went into the fit; `low` and `high`: what the
    prediction has to lie between; None: shown without a verdict."""

    id: str
    what: str
    predicted: float
    reference: float
    unit: str
    source: str
    fitted: bool = False
    low: float | None = None
    high: float | None = None

    @property
    def rel_error(self) -> float:
        """Signed error as a share of the reference."""
        return self.predicted / self.reference - 1.0

    @property
    def ok(self) -> bool | None:
        """Whether the bar is met; None without one."""
        if self.low is None or self.high is None:
            return None
        return self.low <= self.predicted <= self.high + 1e-9  # a share of 1 comes out as 1 less or plus rounding

    @property
    def document(self) -> dict[str, Any]:
        """The row as JSON data."""
        bar = None if self.low is None else [self.low, self.high]
        return {
            "id": self.id, "what": self.what, "predicted": self.predicted, "reference": self.reference,
            "unit": self.unit, "rel_error": self.rel_error, "bar": bar, "ok": self.ok, "fitted": self.fitted,
            "source": self.source,
        }  # fmt: skip


def published() -> Facts:
    """Return the typed facts of the paper."""
    return tomllib.loads(_PUBLISHED.read_text(encoding="utf-8"))


def designs(facts: Facts, table: str) -> Mapping[str, Design]:
    """Return the paper's architectures by name, as they stand in a table's models."""
    every_block = facts["table"][table].get("every_block", False)
    return {name: Design(**values, every_block=every_block) for name, values in facts["design"].items()}


@cache
def fitted_times(table: str, phase: str) -> PairTimes:
    """Return the times of a table's block pair in one phase, fitted on the rows that the file marks for it."""
    facts = published()
    known, named = facts["table"][table], designs(facts, table)
    rows = [
        Speedup(design=named[row["design"]], phase=phase, value=row["value"])
        for row in facts["speedup"]
        if (row["table"], row["phase"], row["use"]) == (table, phase, "fit")
    ]
    overhead = fitted_times(known["overhead_of"], phase).overhead if "overhead_of" in known else None
    return fit_pair(rows, share=known["share"], overhead=overhead)


def scmoe_rows() -> Sequence[ScmoeRow]:
    """Return every row of the suite."""
    facts = published()
    return [
        *(_speedup_row(facts, row) for row in facts["speedup"]),
        *(_share_row(fact, hidden_share) for fact in facts["hidden"]),
        *(_share_row(fact, gain_over_shared_expert) for fact in facts["gain"]),
        _rule_row(facts["rule"]["break_even"], break_even_share),
        _rule_row(facts["rule"]["full_hiding"], full_hiding_share),
    ]


def _speedup_row(facts: Facts, row: Facts) -> ScmoeRow:
    table, fitted = facts["table"][row["table"]], row["use"] == "fit"
    design = designs(facts, row["table"])[row["design"]]
    return ScmoeRow(
        id=row["id"], what=f"{table['what']}, {row['design']}, {row['phase']}", reference=row["value"],
        predicted=speedup(design, fitted_times(row["table"], row["phase"]), row["phase"]),
        unit="x top-2", source=table["source"], fitted=fitted,
        low=None if fitted else row["value"] * (1.0 - TOLERANCE),
        high=None if fitted else row["value"] * (1.0 + TOLERANCE),
    )  # fmt: skip


def _share_row(fact: Facts, predict: Callable[[PairTimes], float]) -> ScmoeRow:
    """A figure of a table's inference pair at a communication share of its own."""
    times = replace(fitted_times(fact["table"], "inference"), share=fact["share"])
    return _row(fact, predict(times), "x" if predict is gain_over_shared_expert else "share")


def _rule_row(fact: Facts, predict: Callable[[PairTimes], float]) -> ScmoeRow:
    """A rule of thumb, on the inference pair of the paper's first table."""
    return _row(fact, predict(fitted_times("swinv2", "inference")), "share")


def _row(fact: Facts, predicted: float, unit: str) -> ScmoeRow:
    return ScmoeRow(
        id=fact["id"], what=fact["what"], predicted=predicted, reference=fact["reference"], unit=unit,
        source=fact["source"], low=fact.get("low"), high=fact.get("high"),
    )  # fmt: skip


TOP_1, SHARED_EXPERT = Design(n_routed=1), Design(n_routed=1, shared=True)
POSITION_2 = replace(SHARED_EXPERT, shortcut=2)


def hidden_share(times: PairTimes) -> float:
    """Return the part of position 2's all-to-all time during which the device computes."""
    device = device_times(pair_run(POSITION_2, times).timeline).iloc[0]
    return float(1.0 - device["exposed_comm_s"] / device["comm_s"])


def gain_over_shared_expert(times: PairTimes) -> float:
    """Return how many times faster a pair with position 2 runs than one with the shared expert alone."""
    return elapsed(SHARED_EXPERT, times) / elapsed(POSITION_2, times)


def break_even_share(times: PairTimes) -> float:
    """Return the communication share at which position 2 takes as long as top-1; above it position 2 wins."""
    return _crossing(lambda at: elapsed(TOP_1, at) - elapsed(POSITION_2, at), times)


def full_hiding_share(times: PairTimes) -> float:
    """Return the communication share up to which position 2 takes no longer than without communication."""
    alone = elapsed(POSITION_2, replace(times, share=0.0))
    return _crossing(lambda at: elapsed(POSITION_2, at) - alone * (1.0 + 1e-9), times)


def _crossing(difference: Callable[[PairTimes], float], times: PairTimes) -> float:
    return float(bisect(lambda share: difference(replace(times, share=share)), 0.0, 0.99, xtol=1e-6))


def scmoe_document() -> dict[str, Any]:
    """Return the suite as the JSON document of `validate scmoe --json`."""
    facts, rows = published(), [row.document for row in scmoe_rows()]
    judged = [row for row in rows if row["ok"] is not None]
    errors = np.array([row["rel_error"] for row in judged])
    return {
        "suite": "scmoe",
        "rows": rows,
        "summary": {
            "n": len(judged), "n_ok": sum(row["ok"] for row in judged),
            "n_fitted": sum(row["fitted"] for row in rows),
            "median": float(np.median(np.abs(errors))), "bias": float(np.median(errors)),
        },
        "notes": [*facts["note"].values(), *_fits(facts)],
        "skipped": facts["skipped"],
    }  # fmt: skip


def _fits(facts: Facts) -> Sequence[dict[str, str]]:
    """The fitted times in words."""
    found = {(t, p): fitted_times(t, p) for t in facts["table"] for p in ("train", "inference")}
    return [
        {
            "id": f"fit.{table}.{phase}",
            "text": f"attention {times.attention:.2f}, gate + encode + decode {times.overhead:.2f} times of one expert",
        }
        for (table, phase), times in found.items()
    ]
