"""What a run means: named metrics from a timeline, simulated or measured, with one vocabulary (docs/design.md, 5)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.simulate import Run
from workloads.ops import FloatArray

COMMUNICATION_KINDS = ("dispatch", "combine", "attention_tp", "dense_tp", "p2p", "collective")
"""The last: a collective of a profiler trace that says not what for."""


def union(start: FloatArray, end: FloatArray) -> FloatArray:
    """Return the disjoint intervals (n, 2) that cover the same time as intervals [start, end]."""
    order = np.argsort(start, kind="stable")
    start, reach = start[order], np.maximum.accumulate(end[order])
    if not len(start):
        return np.empty((0, 2))
    first = np.concatenate([[True], start[1:] > reach[:-1]])
    last = np.concatenate([first[1:], [True]])
    return np.stack([start[first], reach[last]], axis=1)


def length_s(intervals: FloatArray) -> float:
    """Return the total length of disjoint intervals [s]."""
    return float((intervals[:, 1] - intervals[:, 0]).sum())


def overlap_s(a: FloatArray, b: FloatArray) -> float:
    """Return the time that lies in both of two sets of disjoint intervals [s]."""
    if not len(a) or not len(b):
        return 0.0
    edges = np.sort(np.concatenate([a.ravel(), b.ravel()]))
    middle, width = (edges[1:] + edges[:-1]) / 2.0, np.diff(edges)
    return float(width[_inside(a, middle) & _inside(b, middle)].sum())


def _inside(intervals: FloatArray, times: FloatArray) -> NDArray[np.bool_]:
    at = np.searchsorted(intervals[:, 0], times, side="right") - 1
    return np.asarray((at >= 0) & (times < intervals[np.maximum(at, 0), 1]))


def device_times(timeline: pd.DataFrame) -> pd.DataFrame:
    """Return one row per device: comm_s, exposed_comm_s, wait_s, busy_<kind>_s [s] and n_alike.

    comm_s is the union of communication intervals, exposed_comm_s the part of it in which no compute op runs.
    """
    start, end = timeline["start_s"].to_numpy(), timeline["end_s"].to_numpy()
    wait, n_alike = timeline["wait_s"].to_numpy(), timeline["n_alike"].to_numpy()
    code, kinds = pd.factorize(timeline["kind"])  # numbers: words are slow to compare, device by device
    communicating = np.isin(np.asarray(kinds), COMMUNICATION_KINDS)
    rows = []
    for device, at in timeline.groupby("device", observed=True).indices.items():
        kind = code[at]
        by_kind = {str(kinds[k]): union(start[at][kind == k], end[at][kind == k]) for k in dict.fromkeys(kind)}
        communicates = communicating[kind]
        comm = union(start[at][communicates], end[at][communicates])
        compute = union(start[at][~communicates], end[at][~communicates])
        exposed_by_kind = {
            f"exposed_{k}_s": length_s(by_kind[k]) - overlap_s(by_kind[k], compute)
            for k in by_kind
            if k in COMMUNICATION_KINDS
        }
        rows.append(
            {
                "device": device,
                "n_alike": int(n_alike[at[0]]),
                "comm_s": length_s(comm),
                "exposed_comm_s": length_s(comm) - overlap_s(comm, compute),
                "wait_s": float(wait[at].sum()),
                **{f"busy_{k}_s": length_s(v) for k, v in by_kind.items()},
                **exposed_by_kind,
            }
        )
    return pd.DataFrame(rows).fillna(0.0)


def layer_s(timeline: pd.DataFrame) -> float:
    """Return the mean time between the ends of neighbouring middle layers [s] (0 without layers)."""
    inside = timeline[timeline["layer"] >= 0]
    ends = inside.groupby("layer")["end_s"].max().to_numpy()
    if len(ends) < 2:
        return float(ends[0] - inside["start_s"].min()) if len(ends) else 0.0
    steps = np.diff(ends)
    return float(steps[:-1].mean() if len(steps) > 2 else steps.mean())


def time_metrics(timeline: pd.DataFrame, devices: pd.DataFrame) -> dict[str, Any]:
    """Return step_s, layer_s, comm_s, exposed_comm_s, wait_s (mean and _max), overlap_ratio and busy_s by kind."""
    weights = devices["n_alike"].to_numpy()

    def mean(column: str) -> float:
        return float(np.average(devices[column].to_numpy(), weights=weights))

    metrics: dict[str, Any] = {"step_s": float(timeline["end_s"].max()), "layer_s": layer_s(timeline)}
    for name in ("comm_s", "exposed_comm_s", "wait_s"):
        metrics[name] = mean(name)
        metrics[f"{name}_max"] = float(devices[name].max())
    comm = metrics["comm_s"]
    metrics["overlap_ratio"] = 1.0 - metrics["exposed_comm_s"] / comm if comm else 1.0
    metrics["busy_s"] = {c[5:-2]: mean(c) for c in devices.columns if c.startswith("busy_")}
    return metrics


def bytes_by_tier(run: Run) -> dict[str, float]:
    """Return the payload sent per GPU and step [bytes], by tier; a hierarchical copy counts in each tier."""
    weights = run.graph.n_alike_C
    total: dict[str, float] = {}
    for cost in run.costs:
        for tier, sent_C in cost.sent_bytes.items():
            total[tier] = total.get(tier, 0.0) + float(np.average(sent_C, weights=weights))
    return total


def flops_per_gpu(run: Run) -> float:
    """Return the FLOPs of one step, mean over devices."""
    weights = run.graph.n_alike_C
    return float(sum(np.average(op.work.flops_C, weights=weights) for op in run.graph.ops))


def kind_table(timeline: pd.DataFrame, devices: pd.DataFrame, path: pd.DataFrame) -> Sequence[Mapping[str, Any]]:
    """Return one row per kind: busy_s, exposed_s (communication), critical_s (share of the critical path), n_ops."""
    weights = devices["n_alike"].to_numpy()
    ops_of_kind = timeline.groupby("kind", observed=True)["op_id"].nunique()
    critical = path.groupby("kind", observed=True)["time_s"].sum()
    rows = []
    for kind in ops_of_kind.index:
        exposed = devices.get(f"exposed_{kind}_s")
        rows.append(
            {
                "kind": str(kind),
                "busy_s": float(np.average(devices[f"busy_{kind}_s"].to_numpy(), weights=weights)),
                "exposed_s": 0.0 if exposed is None else float(np.average(exposed.to_numpy(), weights=weights)),
                "critical_s": float(critical.get(kind, 0.0)),
                "n_ops": int(ops_of_kind[kind]),
            }
        )
    return sorted(rows, key=lambda row: (-row["busy_s"], row["kind"]))
