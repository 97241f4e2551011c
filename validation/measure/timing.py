"""Timing like a laboratory: warm-up, at least 20 repeats, median and spread, repeated where the spread is wide."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

Work = Callable[[], object]


class Stopwatch(Protocol):
    """Times work to its end, on whatever device it runs."""

    def __call__(self, work: Work, n_calls: int) -> float:
        """Return the seconds of `n_calls` calls of `work` in a row, the last one finished."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How to measure: a sample holds as many calls as fill `sample_s` [s], up to `most_calls`; a round has `n_repeats`
    samples; a round whose spread is above `spread_bound` is repeated, up to `n_rounds` in all."""

    n_warm_up: int = 3
    n_repeats: int = 20
    sample_s: float = 1e-3
    most_calls: int = 1000
    spread_bound: float = 0.05
    n_rounds: int = 3


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Median seconds of one call, interquartile range over median, and how they were come by; `marked` as in a row."""

    median_s: float
    spread: float
    n_repeats: int
    n_rounds: int = 1
    marked: str = ""


def time_work(work: Work, stopwatch: Stopwatch, rule: Rule) -> Timing:
    """Return the timing of `work`: the steadiest round, marked where even that is wider than the bound."""
    return time_by_turns([work], stopwatch, rule)[0]


def time_by_turns(works: Sequence[Work], stopwatch: Stopwatch, rule: Rule) -> list[Timing]:
    """Return the timing of each of `works`, a sample of each in turn, so that a drift of the device hits all alike.

    The round kept is the one whose widest spread is least; one round is enough where all are within the bound.
    """
    n_calls = [_warm_up(work, stopwatch, rule) for work in works]
    rounds: list[list[Timing]] = []
    while len(rounds) < rule.n_rounds:
        rounds.append(_round(works, stopwatch, n_calls, rule.n_repeats))
        if _widest(rounds[-1]) <= rule.spread_bound:
            break
    return [_judged(timing, len(rounds), rule.spread_bound) for timing in min(rounds, key=_widest)]


def host_stopwatch(now: Callable[[], float] = time.perf_counter) -> Stopwatch:
    """Return the stopwatch of work that is done when its call returns; `now` is the clock [s]."""

    def seconds(work: Work, n_calls: int) -> float:
        start_s = now()
        for _ in range(n_calls):
            work()
        return now() - start_s

    return seconds


def cuda_stopwatch(device: torch.device) -> Stopwatch:
    """Return the stopwatch of work on the current stream of `device`: events before and after, synchronised.

    Other streams are not waited for: a load beside the work may run on one.
    """

    def seconds(work: Work, n_calls: int) -> float:
        start, end, stream = event(), event(), torch.cuda.current_stream(device)
        stream.synchronize()
        start.record(stream)
        for _ in range(n_calls):
            work()
        end.record(stream)
        end.synchronize()
        return float(start.elapsed_time(end)) * 1e-3

    return seconds


def stopwatch_of(device: torch.device) -> Stopwatch:
    """Return the stopwatch that fits `device`."""
    return cuda_stopwatch(device) if device.type == "cuda" else host_stopwatch()


def spread_of(samples: Sequence[float]) -> float:
    """Return the interquartile range of `samples` over their median."""
    low, middle, high = statistics.quantiles(samples, n=4)
    return (high - low) / middle


def event() -> torch.cuda.Event:
    """Return a CUDA event that tells times."""
    made: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    return made


def _warm_up(work: Work, stopwatch: Stopwatch, rule: Rule) -> int:
    """Call `work` until it runs as it will; return the calls that fill a sample."""
    stopwatch(work, 1)  # the first call allocates, compiles and picks kernels
    call_s = min(stopwatch(work, 1) for _ in range(rule.n_warm_up))
    return min(rule.most_calls, max(1, math.ceil(rule.sample_s / max(call_s, 1e-9))))


def _round(works: Sequence[Work], stopwatch: Stopwatch, n_calls: Sequence[int], n_repeats: int) -> list[Timing]:
    turns = [[stopwatch(work, n) / n for work, n in zip(works, n_calls, strict=True)] for _ in range(n_repeats)]
    return [
        Timing(median_s=statistics.median(samples), spread=spread_of(samples), n_repeats=n_repeats)
        for samples in zip(*turns, strict=True)
    ]


def _widest(timings: Sequence[Timing]) -> float:
    return max(timing.spread for timing in timings)


def _judged(timing: Timing, n_rounds: int, bound: float) -> Timing:
    marked = f"spread {timing.spread:.3f} above {bound:g}" if timing.spread > bound else ""
    return replace(timing, n_rounds=n_rounds, marked=marked)
