"""The op graph of one step: SPMD, one op for all ranks, one array entry per class of ranks that are alike."""

from collections.abc import Sequence
from dataclasses import dataclass

from workloads.ops import FloatArray, IntArray, Op


@dataclass(frozen=True, kw_only=True)
class OpGraph:
    """Ops in issue order (an op's `deps` come before it); `n_alike_C` ranks behave as class c, whose lowest rank is
    `rank_C[c]`. An op's stream is an in-order lane of each device. `expert_rows_LR`: rows that the experts of each
    rank compute in each (distinct) MoE layer."""

    ops: Sequence[Op]
    rank_C: IntArray
    n_alike_C: IntArray
    expert_rows_LR: FloatArray

    @property
    def n_classes(self) -> int:
        """Number of rank classes C."""
        return len(self.rank_C)

    @property
    def n_ranks(self) -> int:
        """Number of ranks that the classes stand for."""
        return int(self.n_alike_C.sum())
