"""Measuring cases one by one: what is on disk already is skipped, every row is on disk before the next begins."""

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch

from validation.measure.case import Case, NotHereError, Outcome
from validation.measure.steady import Beside, beside_stopwatch
from validation.measure.timing import Rule, Stopwatch, Timing, time_by_turns
from validation.measurements import Key, Measurement, append_measurement, shape_text

WATCH_EVERY_S = 5.0  # asking a GPU what slows it takes a tenth of a second


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where and how cases are measured: `say` takes a line for the user, `slowed_by` tells what slows the device;
    `folder` is None on ranks that do not write."""

    suite: str
    device: str
    stopwatch: Stopwatch
    rule: Rule
    folder: Path | None
    say: Callable[[str], None]
    slowed_by: Callable[[], str]
    now: Callable[[], float] = time.monotonic


def measure_cases(bench: Bench, cases: Sequence[Case], done: Collection[Key]) -> list[str]:
    """Measure those of `cases` that are not `done`; return what was skipped and why, a line each.

    A group that is timed by turns is done when all of it is: else the whole group is measured again, so that ratios
    within it always come from interleaved repeats.
    """
    left = [case for group in groups(cases) if not _is_done(bench, group, done) for case in group]
    if len(left) < len(cases):
        bench.say(f"{len(cases) - len(left)} of {len(cases)} measured before")
    started_s, watched_s, number = bench.now(), -math.inf, 0
    skipped: list[str] = []
    for group in groups(left):
        try:
            timings, outcomes = _time(bench, group)
        except (torch.OutOfMemoryError, NotHereError) as error:
            reason = str(error) if isinstance(error, NotHereError) else "out of memory"
            skipped += [f"{_words(case)}: {reason}" for case in group]
            number += len(group)
            bench.say(f"skipped {skipped[-1]}")
            continue
        slowed = ""
        if bench.now() - watched_s >= WATCH_EVERY_S:
            watched_s, slowed = bench.now(), bench.slowed_by()
        for case, timing, outcome in zip(group, timings, outcomes, strict=True):
            number += 1
            row = row_of(bench, case, timing, outcome, slowed)
            if bench.folder is not None:
                append_measurement(bench.folder, row)
            left_s = (bench.now() - started_s) / number * (len(left) - number)
            bench.say(f"[{number}/{len(left)}] {_words(case)}: {_timing_words(row)}; {duration(left_s)} left")
    return skipped


def groups(cases: Sequence[Case]) -> Iterator[list[Case]]:
    """Yield `cases` in their order, neighbours that are timed together as one group."""
    for together, group in groupby(cases, key=lambda case: case.together):
        if together:
            yield list(group)
        else:
            yield from ([case] for case in group)


def key_of(bench: Bench, case: Case) -> Key:
    """Return the key of the row that `case` will have."""
    return (bench.suite, case.op, shape_text(case.shape), case.dtype, bench.device)


def row_of(bench: Bench, case: Case, timing: Timing, outcome: Outcome, slowed: str) -> Measurement:
    """Return the row of the table."""
    marks = [timing.marked, f"slowed by {slowed}" if slowed else ""]
    return Measurement(
        suite=bench.suite, kernel=case.kernel, op=case.op, shape=case.shape, dtype=case.dtype, device=bench.device,
        flops=case.flops, moved_bytes=case.moved_bytes, median_s=timing.median_s, spread=timing.spread,
        n_repeats=timing.n_repeats, n_rounds=timing.n_rounds, marked="; ".join(mark for mark in marks if mark),
        outcome=outcome,
    )  # fmt: skip


def duration(seconds: float) -> str:
    """Return `seconds` [s] in words."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _is_done(bench: Bench, group: Sequence[Case], done: Collection[Key]) -> bool:
    return all(key_of(bench, case) in done for case in group)


def _time(bench: Bench, group: Sequence[Case]) -> tuple[list[Timing], list[Outcome]]:
    """Time `group` by turns; what is to be timed beside a load is timed alone as well, for its outcome."""
    with torch.inference_mode():
        works = [case.make() for case in group]
        loads = {number: case.beside() for number, case in enumerate(group) if case.beside}
        timed = [Beside(work, loads[i]) if i in loads else work for i, work in enumerate(works)]
        alone = [works[number] for number in loads]
        timings = time_by_turns([*timed, *alone], beside_stopwatch(bench.stopwatch), bench.rule)
        outcomes = [case.outcome() for case in group]
    for (number, load), timing in zip(loads.items(), timings[len(group) :], strict=True):
        outcomes[number] = {
            **outcomes[number], "alone_s": timing.median_s, "alone_spread": timing.spread, "partner_s": load.call_s
        }  # fmt: skip
    return timings[: len(group)], outcomes


def _words(case: Case) -> str:
    shape = " ".join(f"{name}={value}" for name, value in case.shape.items())
    return f"{case.op} {shape} {case.dtype}"


def _timing_words(row: Measurement) -> str:
    rate = f", {row.flops / row.median_s / 1e9:.1f} GFLOP/s" if row.flops else ""
    return f"{row.median_s * 1e6:.1f} µs ± {row.spread / 2:.1%}{rate}{f' ({row.marked})' if row.marked else ''}"
