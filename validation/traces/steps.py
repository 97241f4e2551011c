"""The steps that a profiler marked, one of which is what a simulation is set beside."""

from collections.abc import Sequence

import pandas as pd

from hw_profiles.faults import Fault, InputFaults


def step_numbers(timeline: pd.DataFrame) -> Sequence[int]:
    """The numbers of the profiler's steps in a timeline read from a trace, in order; none where it marked none."""
    return sorted(set(timeline.loc[timeline["step"] >= 0, "step"].tolist()))


def one_step(timeline: pd.DataFrame, step: int) -> pd.DataFrame:
    """Return the rows of profiler step `step`, times from its first row on [s]; raises InputFaults without such."""
    known = step_numbers(timeline)
    if step not in known:
        allowed = ", ".join(map(str, known)) or "nothing: the trace marks no steps"
        raise InputFaults([Fault(field="--step", got=str(step), allowed=allowed, remedy="choose one, or none")])
    rows = timeline[timeline["step"] == step]
    first_s = rows["start_s"].min()
    return rows.assign(start_s=rows["start_s"] - first_s, end_s=rows["end_s"] - first_s).reset_index(drop=True)


def typical_step(timeline: pd.DataFrame) -> int:
    """Return the step of median length (of an even number the shorter one); raises InputFaults without any."""
    if not step_numbers(timeline):
        raise InputFaults([Fault(field="--trace", got="a trace that marks no profiler steps",
                                 allowed="one with ProfilerStep ranges",
                                 remedy="record it with `longsim measure --traces`")])  # fmt: skip
    spans = timeline[timeline["step"] >= 0].groupby("step").agg(start_s=("start_s", "min"), end_s=("end_s", "max"))
    by_length = (spans["end_s"] - spans["start_s"]).sort_values(kind="stable")
    return int(by_length.index[(len(by_length) - 1) // 2])
