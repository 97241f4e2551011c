"""Choices replayed from a recorded routing trace, as averages or as draws.

N routed experts, S source and D destination rank inside an EP group, M nodes of it, F origins of rows, L MoE layers, T
drawn tokens, M (of `ids_MK`) recorded tokens, K top-k.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np

from workloads.choices import ChoiceCounts, active_slots, counted_choices, whole_tokens
from workloads.expert_placement import ExpertPlacement
from workloads.ops import FloatArray, IntArray
from workloads.routing_trace import RoutingTrace, read_routing_trace
from workloads.step import StepSpec

_SHIPPED = Path(__file__).parent / "traces"


def shipped_traces() -> list[str]:
    """Return the names of the routing traces that ship with longsim, sorted (workloads/traces/README.md)."""
    return sorted(path.stem for path in _SHIPPED.glob("*.npz"))


def trace_path(name_or_path: str) -> Path:
    """Return the file of a shipped routing trace, or the one that the path names."""
    return _SHIPPED / f"{name_or_path}.npz" if name_or_path in shipped_traces() else Path(name_or_path)


@lru_cache(maxsize=4)
def load_trace(name_or_path: str) -> RoutingTrace:
    """Return a shipped routing trace, or the one in a file, read once; ValueError says what is wrong with it."""
    try:
        return read_routing_trace(trace_path(name_or_path))
    except OSError as error:
        msg = f"{name_or_path}: {error.strerror}"
        raise ValueError(msg) from error


def recorded_ids(step: StepSpec, trace: RoutingTrace, layer: int) -> IntArray:
    """Return the recorded choices of a layer [M, K]; remap0 makes expert 0 of every zero-computation expert."""
    ids_MK = trace.ids_LMK[layer].astype(np.int64)
    return np.where(ids_MK < trace.n_routed_experts, ids_MK, 0) if step.routing.zero_experts == "remap0" else ids_MK


def recorded_loads(ids_MK: IntArray, n_experts: int) -> FloatArray:
    """Return the mean rows per token of each routed expert, (N,)."""
    return np.bincount(ids_MK[ids_MK < n_experts], minlength=n_experts) / max(len(ids_MK), 1)


def replayed_choices(
    step: StepSpec,
    placement: ExpertPlacement,
    tokens_S: FloatArray,
    *,
    trace: RoutingTrace,
    layer: int,
    rng: np.random.Generator,
) -> ChoiceCounts:
    """Return the choices of one layer of a recorded trace.

    `draw = "mean"`: every rank's tokens choose as the recorded ones do on average; "sample": each token is one of the
    recorded ones, drawn with replacement, so that joint choices stay as they were. Zero experts: dropped, or (remap0)
    sent to expert 0.
    """
    ids_MK, n = recorded_ids(step, trace, layer), trace.n_routed_experts
    if step.routing.draw == "sample":
        source_T = np.repeat(np.arange(len(tokens_S)), whole_tokens(tokens_S, rng))
        token, slot = np.nonzero(ids_MK[rows_T := rng.integers(len(ids_MK), size=len(source_T))] < n)
        return counted_choices(placement, source_T, token, ids_MK[rows_T][token, slot], rng)
    loads_N = recorded_loads(ids_MK, n)
    tokens_S1, origin_S = tokens_S[:, None], placement.origin_S
    return ChoiceCounts(
        choices_SQ=placement.slots_of(np.outer(tokens_S, loads_N)),
        active_Q=active_slots(placement, np.minimum(loads_N, 1.0), tokens_S),
        touched_SD=tokens_S1 * _mean_touch(ids_MK, placement.share_on_ranks())[origin_S],
        touched_SM=tokens_S1 * _mean_touch(ids_MK, placement.share_on_nodes())[origin_S],
    )


def _mean_touch(ids_MK: IntArray, share_FNG: FloatArray) -> FloatArray:
    """Share of the recorded tokens that touch each group, (F, G): an expert serves a token from one slot, once."""
    n = share_FNG.shape[1]
    ordered_MK = np.sort(np.minimum(ids_MK, n), axis=1)
    ordered_MK[:, 1:][ordered_MK[:, 1:] == ordered_MK[:, :-1]] = n
    touched_FG = np.empty((share_FNG.shape[0], share_FNG.shape[2]))
    for origin, share_NG in enumerate(share_FNG):
        miss_NG = np.vstack([1.0 - share_NG, np.ones(share_NG.shape[1])])  # N: no expert, misses every group
        miss_MG = np.ones((len(ids_MK), share_NG.shape[1]))
        for chosen_M in ordered_MK.T:
            miss_MG *= miss_NG[chosen_M]
        touched_FG[origin] = 1.0 - miss_MG.mean(axis=0)
    return touched_FG
