"""Which ops decide the end of a run: walked back from the last end, through groups to the slowest rank."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from simulator.simulate import Run


def critical_path(run: Run) -> pd.DataFrame:
    """Return the chain of ops that ends last: op_id, rank, kind, start_s, end_s, time_s, bound, source,
    beyond (doublings
    outside the measured range), extrapolated; in time order.

    From an op the walk goes to the slowest rank of its group, then to whatever ended last before it could start: the
    op before it on its stream or one that it waited for. `time_s` adds up to the makespan.
    """
    graph, times = run.graph, run.times
    before = _stream_predecessors(run)
    op, c = (int(i) for i in np.unravel_index(np.argmax(times.end_OC), times.end_OC.shape))
    until, rows = float(times.end_OC[op, c]), []
    while op >= 0:
        c = _slowest_of_group(run, op, c)
        waits_for = [*graph.ops[op].deps, *([before[op]] if before[op] >= 0 else [])]
        previous = max(waits_for, key=lambda d: (float(times.end_OC[d, c]), d), default=-1)
        since = float(times.end_OC[previous, c]) if previous >= 0 else 0.0
        rows.append(
            {
                "op_id": op,
                "rank": int(graph.rank_C[c]),
                "kind": graph.ops[op].work.kind,
                "start_s": float(times.start_OC[op, c]),
                "end_s": float(times.end_OC[op, c]),
                "time_s": until - since,
                "bound": run.costs[op].bound_C[c],
                "source": run.costs[op].source_C[c],
                "beyond": _beyond(run, op, c),
                "extrapolated": _beyond(run, op, c) > 0.0,
            }
        )
        op, until = previous, since
    return pd.DataFrame(rows[::-1])


def _beyond(run: Run, op: int, c: int) -> float:
    """How far outside its curve's measured range the op was priced, in doublings."""
    beyond_C = run.costs[op].beyond_C
    return 0.0 if beyond_C is None else float(beyond_C[c])


def _stream_predecessors(run: Run) -> list[int]:
    last: dict[str, int] = {}
    before = []
    for i, op in enumerate(run.graph.ops):
        before.append(last.get(op.stream, -1))
        last[op.stream] = i
    return before


def _slowest_of_group(run: Run, op: int, c: int) -> int:
    """The class whose own part of the op ended last: it has waited least."""
    group_C = run.costs[op].demand.group_C
    if group_C is None or run.graph.n_classes == 1:
        return c
    members = np.nonzero(group_C == group_C[c])[0]
    return int(members[np.argmin(run.times.wait_OC[op, members])])


def shares(path: pd.DataFrame, column: str) -> Mapping[str, float]:
    """Return the share of the critical path's time by the values of a column, largest first."""
    by_value = path.groupby(column, observed=True)["time_s"].sum()
    total = float(by_value.sum())
    ordered = sorted(by_value.items(), key=lambda item: (-float(item[1]), str(item[0])))
    return {str(value): float(time_s) / total if total else 0.0 for value, time_s in ordered}
