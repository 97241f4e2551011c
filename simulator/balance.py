"""How evenly routed rows fall on ranks: figures of a step, the table behind them, and a recorded trace step by step.

L MoE layers (1 where all are alike), R ranks, X expert slots of a rank.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hw_profiles.faults import Fault, InputFaults
from simulator.simulate import Run
from workloads.contexts import draw_contexts, rank_batches
from workloads.loads import routed_loads
from workloads.ops import FloatArray
from workloads.placements import layer_routings
from workloads.replayed import load_trace, recorded_ids, recorded_loads
from workloads.step import StepSpec

RANK_LOAD_COLUMNS = ("layer", "rank", "rows", "active_experts", "share")


def balance_metrics(run: Run) -> dict[str, Any]:
    """Return load_imbalance (max over ranks / mean of routed rows), balancedness (mean / max), means over layers, and
    hottest_rank (the one with most rows, all layers together). Without routed rows: 1, 1, 0."""
    rows_LR = run.graph.expert_rows_LR
    imbalance_L = hottest_over_mean(rows_LR)
    return {
        "load_imbalance": float(imbalance_L.mean()),
        "balancedness": float((1.0 / imbalance_L).mean()),
        "hottest_rank": int(np.round(rows_LR.sum(axis=0), 6).argmax()),  # of ranks that are alike the first
    }


def hottest_over_mean(rows_LR: FloatArray) -> FloatArray:
    """Return max over ranks / mean of each layer's rows, 1 for a layer without rows, (L,)."""
    mean_L = rows_LR.mean(axis=1)
    return np.asarray(np.divide(rows_LR.max(axis=1), mean_L, out=np.ones_like(mean_L), where=mean_L > 0.0))


def rank_loads(step: StepSpec) -> pd.DataFrame:
    """Return one row per MoE layer (one layer where all are alike) and rank of a step: layer, rank, rows,
    active_experts (expected number of expert slots with a row), share (of the layer's rows), in this order."""
    batch = rank_batches(step, draw_contexts(step, np.random.default_rng(step.seed)), 1)[0]
    loads = routed_loads(step, batch.tokens_R)
    rows_LR = loads.rows_LR
    layer_LR, rank_LR = np.indices(rows_LR.shape)
    total_L1 = rows_LR.sum(axis=1, keepdims=True)
    share_LR = np.divide(rows_LR, total_L1, out=np.zeros_like(rows_LR), where=total_L1 > 0.0)
    columns = (layer_LR, rank_LR, rows_LR, loads.active_LR, share_LR)
    return pd.DataFrame({name: a.ravel() for name, a in zip(RANK_LOAD_COLUMNS, columns, strict=True)})


def balance_over_steps(step: StepSpec) -> pd.DataFrame:
    """Return one row per recorded step and MoE layer of the step's routing trace under its placement: step, layer,
    load_imbalance, balancedness. A recorded step's rows spread over replicas as even sources would send them.
    InputFaults where the step replays no trace."""
    kind, _, path = step.routing.popularity.partition(":")
    if kind != "trace":
        raise InputFaults([Fault(field="routing.popularity", got=repr(step.routing.popularity), allowed="trace:FILE",
                                 remedy="record a routing trace with the layers")])  # fmt: skip
    trace = load_trace(path)
    ends = np.cumsum(trace.tokens_per_step)
    rows: list[Sequence[float]] = []
    for layer, routing in enumerate(layer_routings(step)):
        placement, ids_MK = routing.placement, recorded_ids(step, trace, layer)
        for recorded, ids_TK in enumerate(np.split(ids_MK, ends[:-1])):
            loads_N = recorded_loads(ids_TK, placement.n_experts)
            load_SQ = placement.slots_of(np.tile(loads_N, (placement.n_ranks, 1)))
            load_R = load_SQ.mean(axis=0).reshape(1, placement.n_ranks, -1).sum(axis=2)
            imbalance = float(hottest_over_mean(load_R)[0])
            rows.append((recorded, layer, imbalance, 1.0 / imbalance))
    table = pd.DataFrame(rows, columns=["step", "layer", "load_imbalance", "balancedness"])
    return table.sort_values(["step", "layer"], ignore_index=True)
