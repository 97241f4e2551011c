"""A sweep into a store: every combination of some keys' values, what is there already not computed again."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from hw_profiles.faults import Fault, InputFaults
from simulator.candidates import Axes, Combination, combinations, n_combinations
from simulator.jobs import Job, Outcome, Solve
from simulator.question import Question, load_question
from simulator.run_key import code_version, run_key
from simulator.scenario import ShapeFaults, parse_value, read_tables
from simulator.store import Member, Store

MOST_RUNS = 1_000_000
_MOST_UNWRITTEN = 100  # members that wait for the next result to be written with it


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is asked: the combinations of `axes` on a scenario under `settings`, replaying `traffic` where there is
    any."""

    scenario: str
    axes: Axes
    settings: Sequence[str] = ()
    traffic: Mapping[str, Any] | None = None

    @property
    def n(self) -> int:
        """Combinations."""
        return n_combinations(self.axes)

    @property
    def name(self) -> str:
        """Eight digits: the same for the same words on the same file's content with the same code."""
        tables = read_tables(self.scenario)[1]
        asked = [tables, {key: list(values) for key, values in self.axes.items()}, list(self.settings), self.traffic]
        text = json.dumps([code_version(), *asked], default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def title(self) -> str:
        """What it varies on what, in a line."""
        replayed = f", {self.traffic['requests']}" if self.traffic else ""
        return f"{self.scenario}{replayed}: " + "; ".join(f"{key}={','.join(v)}" for key, v in self.axes.items())

    def question(self, combination: Combination) -> Question:
        """Return the question that a combination puts; InputFaults where it puts none."""
        named = f"name={json.dumps(combination.name)}"
        return load_question(
            self.scenario, [*self.settings, *combination.settings, named], traffic=self.traffic
        )  # fmt: skip


@dataclass(kw_only=True)
class Tally:
    """How far a sweep has come: combinations `computed` now, `stored` before or put twice, `refused` as no scenario,
    and the `failures` by name."""

    n: int
    computed: int = 0
    stored: int = 0
    refused: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Combinations that need nothing more."""
        return self.computed + self.stored + self.refused + len(self.failures)


Watch = Callable[[Tally], bool]


def check_axes(sweep: Sweep) -> None:
    """Raise InputFaults, before anything is computed, for keys that are none, values of the wrong type, and words that
    fit in no combination."""
    for key, values in sweep.axes.items():
        for value in values:
            alone = Combination(chosen={key: value}, name="")
            refusal = _refusal(sweep, alone, key)
            if refusal is None or not isinstance(parse_value(value), str):
                continue
            with_it = combinations({**sweep.axes, key: [value]})
            if all(_refusal(sweep, combination, key) for combination in with_it):
                raise refusal


def _refusal(sweep: Sweep, combination: Combination, key: str) -> InputFaults | None:
    """Why `key` as it stands in a combination is no good; ShapeFaults are raised."""
    try:
        sweep.question(combination)
    except ShapeFaults:
        raise
    except InputFaults as error:
        return error if any(fault.field == key for fault in error.faults) else None
    return None


def run_sweep(store: Store, sweep: Sweep, solve: Solve, watch: Watch) -> Tally:
    """Run what the store lacks of a sweep, each result written before the next is taken; return how it went.

    `watch` is called as it goes and says whether it goes on: where it does not, only what is under way is finished.
    """
    store.begin_sweep(sweep.name, title=sweep.title, n=sweep.n)
    under_way = _UnderWay(store, sweep, watch)
    with closing(solve(under_way.jobs())) as outcomes:
        for outcome in outcomes:
            under_way.take(outcome)
    under_way.write()
    watch(under_way.tally)
    return under_way.tally


class _UnderWay:
    def __init__(self, store: Store, sweep: Sweep, watch: Watch) -> None:
        self._store, self._sweep, self._watch = store, sweep, watch
        self._name = sweep.name
        self._unwritten: list[Member] = []
        self._asked: set[str] = set()  # keys of jobs that are out
        self.tally = Tally(n=sweep.n)

    def jobs(self) -> Iterator[Job]:
        """Yield what has to be computed, one when it is asked for."""
        for position, combination in enumerate(combinations(self._sweep.axes)):
            if not self._watch(self.tally):
                return
            job = self._job(position, combination)
            if job is not None:
                yield job
            elif len(self._unwritten) > _MOST_UNWRITTEN:
                self.write()

    def _job(self, position: int, combination: Combination) -> Job | None:
        key, reason, question = None, "", None
        try:
            question = self._sweep.question(combination)
            key = run_key(question)
        except InputFaults as error:
            reason = str(error).replace("\n", "; ")
            self.tally.refused += 1
        self._unwritten.append(
            Member(position=position, name=combination.name, chosen=combination.chosen, key=key, reason=reason)
        )
        if question is None or key is None:
            return None
        if key in self._asked or self._store.has_run(key):
            self.tally.stored += 1
            return None
        self._asked.add(key)
        return Job(key=key, question=question)

    def take(self, outcome: Outcome) -> None:
        """Write a result, with the members that have come since the last one."""
        self._asked.discard(outcome.job.key)
        if outcome.run is None:
            self.tally.failures[outcome.job.question.scenario.name] = outcome.failure
        else:
            self.tally.computed += 1
            self.write(outcome)
        self._watch(self.tally)

    def write(self, outcome: Outcome | None = None) -> None:
        """Write the members that are not yet, and a result."""
        self._store.add(self._name, self._unwritten, outcome.run if outcome else None)
        self._unwritten.clear()


def already_begun(sweep: Sweep) -> Fault:
    """Return the fault of a sweep that the store has begun, where nobody said that it goes on."""
    return Fault(field="--store", got=f"a store in which this sweep ({sweep.name}) has begun",
                 allowed="one without it, or --resume",
                 remedy="with --resume only what is missing is computed")  # fmt: skip
