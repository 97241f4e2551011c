"""Recorded expert choices: written by any forward pass of the layers, read without torch.

L MoE layers, T tokens of a step, M tokens of all steps, K choices per token, N routed experts, E pool.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

IdsArray = NDArray[np.int16]
IntArray = NDArray[np.int64]

FIELDS = ("ids", "tokens_per_step", "n_routed_experts", "n_zero_experts")


@dataclass(frozen=True, kw_only=True)
class RoutingTrace:
    """`ids_LMK` chosen experts of every layer and token, steps one after the other; `tokens_per_step` sums to M.

    Ids from `n_routed_experts` on are zero-computation experts. Raises ValueError, naming every fault.
    """

    ids_LMK: IdsArray
    tokens_per_step: IntArray
    n_routed_experts: int
    n_zero_experts: int

    def __post_init__(self) -> None:
        faults = _faults(self)
        if faults:
            raise ValueError("\n".join(faults))

    @property
    def n_layers(self) -> int:
        """Number of MoE layers."""
        return len(self.ids_LMK)

    @property
    def n_steps(self) -> int:
        """Number of forward passes."""
        return len(self.tokens_per_step)

    @property
    def top_k(self) -> int:
        """Choices per token."""
        return int(self.ids_LMK.shape[2])

    def step(self, step: int) -> IdsArray:
        """Return the choices [L, T, K] of one step, a view."""
        end = int(self.tokens_per_step[: step + 1].sum())
        return self.ids_LMK[:, end - int(self.tokens_per_step[step]) : end]

    def counts(self) -> IntArray:
        """Return how often each layer's tokens chose each expert of the pool [L, E]."""
        n_pool = self.n_routed_experts + self.n_zero_experts
        return np.stack([np.bincount(ids_MK.ravel(), minlength=n_pool) for ids_MK in self.ids_LMK])

    def ffn_experts(self) -> IntArray:
        """Return the number of routed experts among each token's choices [L, M]."""
        is_ffn_LMK = self.ids_LMK < self.n_routed_experts
        return np.asarray(is_ffn_LMK.sum(axis=2), dtype=np.int64)


def routing_trace(ids: Sequence[Sequence[IdsArray]], *, n_routed_experts: int, n_zero_experts: int) -> RoutingTrace:
    """Return the trace of `ids[layer][step]`, each [T, K]; raises ValueError unless layers saw the same tokens."""
    tokens = {tuple(len(ids_TK) for ids_TK in steps) for steps in ids}
    if len(tokens) != 1 or tokens == {()}:
        raise ValueError(
            f"ids: got tokens per step {sorted(tokens)}; allowed one or more steps, the same in every layer"
        )
    return RoutingTrace(
        ids_LMK=np.stack([np.concatenate(steps) for steps in ids]),
        tokens_per_step=np.array(tokens.pop(), dtype=np.int64),
        n_routed_experts=n_routed_experts,
        n_zero_experts=n_zero_experts,
    )


def write_routing_trace(trace: RoutingTrace, path: Path) -> None:
    """Write `trace` to `path`, a compressed .npz without pickled objects."""
    if path.suffix != ".npz":
        raise ValueError(f"path: got {path.name}; allowed a name that ends in .npz")
    np.savez_compressed(
        path,
        ids=trace.ids_LMK,
        tokens_per_step=trace.tokens_per_step,
        n_routed_experts=np.int64(trace.n_routed_experts),
        n_zero_experts=np.int64(trace.n_zero_experts),
    )


def read_routing_trace(path: Path) -> RoutingTrace:
    """Return the trace in the .npz file `path`; raises ValueError where it is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            fields = {name: file[name] for name in file.files}
    except (ValueError, BadZipFile, EOFError) as error:
        raise ValueError(f"{path}: got a file that is no .npz of plain arrays; record it with the layers") from error
    missing, unknown = set(FIELDS) - set(fields), set(fields) - set(FIELDS)
    if missing or unknown:
        raise ValueError(f"{path}: missing {sorted(missing)}, unknown {sorted(unknown)}; allowed {', '.join(FIELDS)}")
    return RoutingTrace(
        ids_LMK=fields["ids"],
        tokens_per_step=fields["tokens_per_step"],
        n_routed_experts=int(fields["n_routed_experts"]),
        n_zero_experts=int(fields["n_zero_experts"]),
    )


def _faults(trace: RoutingTrace) -> list[str]:
    ids, tokens = trace.ids_LMK, trace.tokens_per_step
    n_pool = trace.n_routed_experts + trace.n_zero_experts
    if ids.ndim != 3 or ids.dtype != np.int16:
        return [f"ids: got {ids.dtype} {ids.shape}; allowed int16 [layers, tokens, top_k]"]
    faults = []
    if trace.n_routed_experts < 1 or trace.n_zero_experts < 0 or n_pool > np.iinfo(np.int16).max:
        faults.append(
            f"experts: got {trace.n_routed_experts} + {trace.n_zero_experts}; allowed N >= 1, Z >= 0, below 32768"
        )
    if tokens.ndim != 1 or tokens.dtype != np.int64 or (tokens < 0).any() or tokens.sum() != ids.shape[1]:
        faults.append(f"tokens_per_step: got {tokens.dtype} of sum {tokens.sum()}; allowed int64, sum {ids.shape[1]}")
    if ids.size and (ids.min() < 0 or ids.max() >= n_pool):
        faults.append(f"ids: got {ids.min()} to {ids.max()}; allowed 0 to {n_pool - 1}")
    return faults
