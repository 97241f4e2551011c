"""The schedules by name, and what each one needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from workloads.lowering.segments import Layer
from workloads.schedules.build import Deps, GraphBuilder
from workloads.schedules.single_batch import prefill_pairs, sbo, sbo_one_stream, sequential, two_stream
from workloads.schedules.two_batch import tbo, tbo_five_stage, tbo_phased


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """`place` puts the layers of `n_parts` (half-)batches into a graph; `scmoe_only`: it needs the shortcut;
    `overlaps`: communication may run beside compute."""

    place: Callable[[GraphBuilder, Sequence[Sequence[Layer]], Deps], Deps]
    n_parts: int
    scmoe_only: bool
    overlaps: bool


SCHEDULES: Mapping[str, Schedule] = {
    "sequential": Schedule(place=sequential, n_parts=1, scmoe_only=False, overlaps=False),
    "tbo": Schedule(place=tbo, n_parts=2, scmoe_only=False, overlaps=True),
    "tbo_five_stage": Schedule(place=tbo_five_stage, n_parts=2, scmoe_only=False, overlaps=True),
    "tbo_phased": Schedule(place=tbo_phased, n_parts=2, scmoe_only=False, overlaps=True),
    "sbo": Schedule(place=sbo, n_parts=1, scmoe_only=True, overlaps=True),
    "sbo_one_stream": Schedule(place=sbo_one_stream, n_parts=1, scmoe_only=True, overlaps=True),
    "two_stream": Schedule(place=two_stream, n_parts=1, scmoe_only=True, overlaps=True),
    "prefill_pairs": Schedule(place=prefill_pairs, n_parts=1, scmoe_only=True, overlaps=True),
}
