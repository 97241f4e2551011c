"""What each kind of op moves and computes in a step: the amounts that explain why it takes its time.

O ops, P ops of the critical path, C rank classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from simulator.costs.cost import Cost
from simulator.simulate import Run
from workloads.ops import FloatArray, IntArray, Op, Traffic

LOCAL = "local"  # the tier of what stays on its device


@dataclass(frozen=True, kw_only=True)
class KindAmounts:
    """Per device and step, over all ops of one kind: kernels launched; FLOPs, bytes of weights and KV cache read from
    memory, and payload sent or received over links, of the rank with most in each op (the critical path follows it);
    payload sent by tier, "local" for what stays on its device, and what leaves the node (`remote_bytes`), mean over
    ranks. Times of the slowest rank in each op [s]: `longest_s`, waits for other ranks aside; `hidden_s` of it beside
    the critical path; `queued_s` for which the critical path stands before its ops (launch gaps within a demand are
    the op's own)."""

    kind: str
    n_kernels: int
    flops_max: float
    hbm_bytes_max: float
    crossing_bytes_max: float = 0.0
    sent_bytes: Mapping[str, float] = field(default_factory=dict)
    remote_bytes: float = 0.0
    longest_s: float = 0.0
    hidden_s: float = 0.0
    queued_s: float = 0.0


def amounts_by_kind(run: Run, path: pd.DataFrame) -> Sequence[KindAmounts]:
    """Return the amounts of every kind of op of a run with this critical path, in order of first issue."""
    by_kind: dict[str, list[int]] = {}
    for op_id, op in enumerate(run.graph.ops):
        by_kind.setdefault(op.work.kind, []).append(op_id)
    times = run.times
    longest_O = (times.end_OC - times.start_OC - times.wait_OC).max(axis=1)
    inside_O, queued_O = np.zeros_like(longest_O), np.zeros_like(longest_O)
    op_P, time_P = path["op_id"].to_numpy(), path["time_s"].to_numpy()
    inside_O[op_P] = np.minimum(time_P, (path["end_s"] - path["start_s"]).to_numpy())
    queued_O[op_P] = time_P - inside_O[op_P]
    hidden_O = np.maximum(longest_O - inside_O, 0.0)
    found = []
    for kind, at in by_kind.items():
        amounts = _amounts(kind, [(run.graph.ops[o], run.costs[o]) for o in at], run.graph.n_alike_C)
        longest_s, hidden_s, queued_s = (float(span_O[at].sum()) for span_O in (longest_O, hidden_O, queued_O))
        found.append(replace(amounts, longest_s=longest_s, hidden_s=hidden_s, queued_s=queued_s))
    return found


def _amounts(kind: str, ops: Sequence[tuple[Op, Cost]], n_alike_C: IntArray) -> KindAmounts:
    return KindAmounts(
        kind=kind,
        n_kernels=len(ops),
        flops_max=float(sum(op.work.flops_C.max() for op, _ in ops)),
        hbm_bytes_max=float(sum(op.work.hbm_bytes_C.max() for op, _ in ops)),
        crossing_bytes_max=sum(_most_crossing(op.work.traffic) for op, _ in ops if op.work.traffic is not None),
        sent_bytes={tier: float(np.average(b_C, weights=n_alike_C)) for tier, b_C in _sent_by_tier(ops).items()},
        remote_bytes=float(sum(np.average(b_C, weights=n_alike_C) for b_C in _remote(ops))),
    )


def _sent_by_tier(ops: Sequence[tuple[Op, Cost]]) -> dict[str, FloatArray]:
    total: dict[str, FloatArray] = {}
    for op, cost in ops:
        if op.work.traffic is None:
            continue
        for tier, bytes_C in {LOCAL: op.work.traffic.local_C, **cost.sent_bytes}.items():
            total[tier] = total[tier] + bytes_C if tier in total else np.asarray(bytes_C, dtype=float)
    return total


def _remote(ops: Sequence[tuple[Op, Cost]]) -> Iterator[FloatArray]:
    """What goes to other nodes; kernels that know no other way send over the NIC inside a node too."""
    for op, _ in ops:
        if op.work.traffic is not None and "remote" in op.work.traffic.sent_C:
            yield op.work.traffic.sent_C["remote"]


def _most_crossing(traffic: Traffic) -> float:
    """What the rank with most sends or receives over links, whichever is more."""
    sent_C, received_C = (sum(b_C for b_C in d.values()) for d in (traffic.sent_C, traffic.received_C))
    return float(np.maximum(sent_C, received_C).max())
