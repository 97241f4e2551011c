"""From the events of one trace to rows of a timeline, before several traces are put on one clock.

On a GPU every kernel, copy and fill is a row. A trace without a GPU has one row per outermost operator of a thread:
what an operator calls is part of it, and the gaps between what it calls are its own work too. A collective that a
process group marks as a range (`gloo:all_to_all`) is a row beside its thread, since it runs while others compute.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.metrics import COMMUNICATION_KINDS
from validation.traces.events import CPU_OP, CPU_RANGE, GPU_RANGE, LAUNCH, NONE, ON_GPU, Events
from validation.traces.kinds import is_collective_range, kind_of_name
from validation.traces.lanes import lanes, outermost
from validation.traces.ranges import NOTHING, Said, by_group, filled, ranges
from workloads.ops import FloatArray, IntArray

_ROUNDING_US = 1e-3  # the profiler's clock ticks in ns
_COLLECTIVES_OF = {"attention": "attention_tp", "dense_ffn": "dense_tp"}


def rows_of(events: Events) -> pd.DataFrame:
    """Return a row per thing that ran: gpu (NONE on a CPU), stream, op, kind, layer, step, bytes, start_us, length_us.

    What was annotated like one of our ops has that op's name and kind. A GPU's row belongs to the annotation around
    its launch (by correlation, else by the operator's external id), else to the GPU's own copy of the annotation.
    """
    on_gpu = events.of(*ON_GPU)
    at, streams = (on_gpu, _gpu_streams(events, on_gpu)) if len(on_gpu) else _cpu_rows(events)
    said, says = _said(events, at)
    words = _words(events, at, said, says)
    return pd.DataFrame(
        {
            "gpu": events.device_E[at], "stream": pd.Categorical(streams), **words,
            "layer": np.array([one.layer for one in says])[said], "step": np.array([one.step for one in says])[said],
            "bytes": events.bytes_E[at], "start_us": events.start_us_E[at], "length_us": events.length_us_E[at],
        }
    )  # fmt: skip


def _slack_us(events: Events) -> float:
    """What ends and starts may be off by: a ns, or what is left of it where times count from 1970 in µs."""
    latest = float(events.end_us_E.max(initial=0.0))
    return max(_ROUNDING_US, 2.0 * float(np.spacing(latest)))


def _named(names: Sequence[str], group_N: IntArray, events: Events, at: NDArray[np.intp]) -> list[str]:
    """The name of each row's group, with a number where the group overlaps itself and needs more than one lane."""
    start_us, end_us = events.start_us_E[at], events.end_us_E[at]
    lane_N = np.zeros(len(at), dtype=np.int64)
    for where in by_group(group_N).values():
        lane_N[where] = lanes(start_us[where], end_us[where], _slack_us(events))
    pairs = zip(group_N.tolist(), lane_N.tolist(), strict=True)
    return [f"{names[group]} ({lane + 1})" if lane else names[group] for group, lane in pairs]


def _gpu_streams(events: Events, at: NDArray[np.intp]) -> list[str]:
    names = [f"stream {name}" for name in events.lanes]
    group_N = events.device_E[at] * len(names) + events.lane_E[at]
    numbers, group_N = np.unique(group_N, return_inverse=True)
    return _named([names[number % len(names)] for number in numbers.tolist()], group_N, events, at)


def _cpu_rows(events: Events) -> tuple[NDArray[np.intp], list[str]]:
    collective = np.array([is_collective_range(name) for name in events.names], dtype=bool)
    at_work = events.of(CPU_RANGE)
    at_work = at_work[collective[events.name_E[at_work]]] if len(at_work) else at_work
    at = np.concatenate([_outermost_operators(events), at_work])
    names = [f"thread {thread}" for _, thread in events.threads]
    beside = np.repeat([0, len(names)], [len(at) - len(at_work), len(at_work)])
    group_N = events.thread_E[at] + beside
    return at, _named([*names, *(f"{name} collectives" for name in names)], group_N, events, at)


def _outermost_operators(events: Events) -> NDArray[np.intp]:
    operators, slack_us = events.of(CPU_OP), _slack_us(events)
    kept = [
        here[outermost(events.start_us_E[here], events.end_us_E[here], slack_us)]
        for here in (operators[where] for where in by_group(events.thread_E[operators]).values())
    ]
    return np.concatenate(kept) if kept else operators


def _said(events: Events, at: NDArray[np.intp]) -> tuple[IntArray, list[Said]]:
    """What annotations say about each row, as a number, and what the numbers stand for."""
    book: dict[Said, int] = {NOTHING: 0}
    launch = _launches(events, at)
    said = np.zeros(len(at), dtype=np.int64)
    known = np.flatnonzero(launch != NONE)
    thread_N, time_us = events.thread_E[launch[known]], events.start_us_E[launch[known]]
    said[known] = _looked_up(events, events.of(CPU_RANGE), events.thread_E, (thread_N, time_us), book)
    ours = events.device_E * max(len(events.lanes), 1) + events.lane_E
    on_stream = _looked_up(events, events.of(GPU_RANGE), ours, (ours[at], events.start_us_E[at]), book)
    says = list(book)
    pairs, of_pair = np.unique(said * len(says) + on_stream, return_inverse=True)
    return of_pair, [filled(says[pair // len(says)], says[pair % len(says)]) for pair in pairs.tolist()]


def _launches(events: Events, at: NDArray[np.intp]) -> IntArray:
    """The event that set off each row: itself on a CPU, else its launch or operator, NONE where neither is known."""
    if not len(events.of(*ON_GPU)):
        return at.astype(np.int64)
    by_launch = _joined(events.correlation_E, events.of(LAUNCH), at)
    by_operator = _joined(events.external_E, events.of(CPU_OP), at)
    return np.where(by_launch != NONE, by_launch, by_operator)


def _joined(key_E: IntArray, among: NDArray[np.intp], at: NDArray[np.intp]) -> IntArray:
    """Where among `among` the key of each row stands; NONE without one. Keys count from 1."""
    among = among[key_E[among] > 0]
    if not len(among):
        return np.full(len(at), NONE)
    keys, first = np.unique(key_E[among], return_index=True)
    found = np.minimum(np.searchsorted(keys, key_E[at]), len(keys) - 1)
    return np.where(keys[found] == key_E[at], among[first[found]], NONE)


def _looked_up(
    events: Events, annotations: NDArray[np.intp], place_E: IntArray, asked: tuple[IntArray, FloatArray],
    book: dict[Said, int],
) -> IntArray:  # fmt: skip
    """What the annotations of each asked place say at the asked time, as numbers of `book`."""
    place_N, time_us_N = asked
    said_N = np.zeros(len(place_N), dtype=np.int64)
    groups = by_group(place_E[annotations])
    for place, where in by_group(place_N).items():
        if place not in groups:
            continue
        here = annotations[groups[place]]
        names = [events.names[name] for name in events.name_E[here].tolist()]
        spoken = ranges(names, events.start_us_E[here], events.end_us_E[here])
        numbers = np.array([book.setdefault(one, len(book)) for one in spoken.said])
        said_N[where] = numbers[spoken.at(time_us_N[where])]
    return said_N


def _words(events: Events, at: NDArray[np.intp], said: IntArray, says: Sequence[Said]) -> dict[str, pd.Categorical]:
    """`op` and `kind` of each row, worked out once for each pair of a name and what is said."""
    pairs, of_pair = np.unique(events.name_E[at] * len(says) + said, return_inverse=True)
    words = list(_pair_words(events, pairs, says))
    ops, kinds = ([pair[n] for pair in words] for n in (0, 1))
    return {"op": _categories(ops, of_pair), "kind": _categories(kinds, of_pair)}


def _pair_words(events: Events, pairs: IntArray, says: Sequence[Said]) -> Iterator[tuple[str, str]]:
    by_name = cache(kind_of_name)
    for pair in pairs.tolist():
        name, one = events.names[pair // len(says)], says[pair % len(says)]
        yield one.op or name, _kind(one.kind, by_name(name))


def _kind(annotated: str, by_name: str) -> str:
    """The annotation's kind; but a collective inside a computing op stays communication."""
    if annotated and by_name in {"collective", "p2p"} and annotated not in COMMUNICATION_KINDS:
        return _COLLECTIVES_OF.get(annotated, by_name)
    return annotated or by_name


def _categories(words: Sequence[str], of_pair: IntArray) -> pd.Categorical:
    codes, names = pd.factorize(np.array(words, dtype=object))
    return pd.Categorical.from_codes(codes[of_pair], categories=pd.Index(names.astype(str)))
