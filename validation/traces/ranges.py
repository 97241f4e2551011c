"""What annotations say about a moment: op, layer and profiler step, the innermost word winning."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from validation.traces.kinds import PROFILER_STEP, kind_of_annotation, layer_of
from workloads.ops import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Said:
    """What holds at a moment: `op` and its `kind` ("" if unnamed), `layer` and `step` (-1 if unnamed)."""

    op: str = ""
    kind: str = ""
    layer: int = -1
    step: int = -1


NOTHING = Said()


def spoken(name: str, around: Said = NOTHING) -> Said:
    """Return what holds inside an annotation `name` that stands inside `around`; unknown words change nothing."""
    if step := PROFILER_STEP.match(name):
        return Said(op=around.op, kind=around.kind, layer=around.layer, step=int(step[1]))
    layer, op = layer_of(name)
    kind = kind_of_annotation(op)
    return Said(
        op=op if kind else around.op,
        kind=kind or around.kind,
        layer=layer if layer >= 0 else around.layer,
        step=around.step,
    )


def filled(said: Said, other: Said) -> Said:
    """Return `said` with what it leaves open taken from `other`."""
    named = said if said.kind else other
    return Said(
        op=named.op,
        kind=named.kind,
        layer=said.layer if said.layer >= 0 else other.layer,
        step=said.step if said.step >= 0 else other.step,
    )


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """What the annotations of one thread or stream say from each of `since_us` on."""

    since_us: FloatArray
    said: Sequence[Said]

    def at(self, time_us: FloatArray) -> NDArray[np.intp]:
        """Where in `said` the moments `time_us` stand; a range holds from its start until before its end."""
        return np.searchsorted(self.since_us, time_us, side="right") - 1


def ranges(names: Sequence[str], start_us: FloatArray, end_us: FloatArray) -> Ranges:
    """Return what the annotations of one thread say when. A range that outlasts the one around it ends with that."""
    since, said = [-np.inf], [NOTHING]
    open_: list[tuple[float, Said]] = []

    def close(until_us: float) -> None:
        while open_ and open_[-1][0] <= until_us:
            since.append(open_.pop()[0])
            said.append(open_[-1][1] if open_ else NOTHING)

    for at in np.lexsort((-end_us, start_us)).tolist():
        close(float(start_us[at]))
        outer_us, outer = open_[-1] if open_ else (np.inf, NOTHING)
        open_.append((min(float(end_us[at]), outer_us), spoken(names[at], outer)))
        since.append(float(start_us[at]))
        said.append(open_[-1][1])
    close(np.inf)
    return Ranges(since_us=np.array(since), said=said)


def by_group(group_N: IntArray) -> dict[int, NDArray[np.intp]]:
    """Return where each number of `group_N` stands, in order of the numbers."""
    order = np.argsort(group_N, kind="stable")
    numbers, first = np.unique(group_N[order], return_index=True)
    return dict(zip(numbers.tolist(), np.split(order, first)[1:], strict=True))
