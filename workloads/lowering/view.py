"""What lowering sees: one (half-)batch and its expert loads, reduced to the classes of ranks that are alike.

R ranks, C rank classes, L MoE layers, G group kinds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from workloads.contexts import RankBatch
from workloads.loads import RoutedLoads
from workloads.ops import FloatArray, IntArray
from workloads.step import StepSpec


@dataclass(frozen=True, kw_only=True)
class RankClasses:
    """Ranks that are alike: `rank_C` lowest rank of each class, `n_alike_C` ranks in it, and for each kind of group
    ("ep", "attention_tp", "dense_tp") `group_C`: the class's group among groups that are alike."""

    rank_C: IntArray
    n_alike_C: IntArray
    group_C: Mapping[str, IntArray]


@dataclass(frozen=True, kw_only=True)
class View:
    """A (half-)batch of a step for lowering: amounts per class, loads per layer and class; `suffix` names the half."""

    step: StepSpec
    classes: RankClasses
    batch: RankBatch
    loads: RoutedLoads
    suffix: str = ""

    @property
    def zeros_C(self) -> FloatArray:
        """A zero for each class."""
        return np.zeros(len(self.classes.rank_C))


def group_sizes(step: StepSpec) -> dict[str, int]:
    """Return the size of each kind of group; its ranks are neighbours."""
    return {"ep": step.layout.ep, "attention_tp": step.layout.attention_tp, "dense_tp": step.layout.dense_tp}


def classify(
    step: StepSpec, batches: Sequence[RankBatch], loads: Sequence[RoutedLoads], *, reduce_ranks: bool = True
) -> RankClasses:
    """Return the classes of ranks that cannot be told apart: equal amounts, in groups of equal classes.

    Colours are refined until stable, so that simulating one rank per class gives the times of all of them.
    `reduce_ranks` false: no two ranks are taken as alike.
    """
    color_R = np.arange(step.n_gpus)
    if reduce_ranks:
        parts: Sequence[RankBatch | RoutedLoads] = [*batches, *loads]
        color_R = _recolor(np.column_stack([_columns(part, step.n_gpus) for part in parts]))
    while True:
        finer_R, group_RG = _refine(step, color_R)
        if finer_R.max() == color_R.max():
            break
        color_R = finer_R
    _, rank_C, n_alike_C = np.unique(color_R, return_index=True, return_counts=True)
    kinds = group_sizes(step)
    groups = {kind: _recolor(group_RG[rank_C, g][:, None]) for g, kind in enumerate(kinds)}
    return RankClasses(rank_C=rank_C, n_alike_C=n_alike_C, group_C=groups)


def _columns(part: RankBatch | RoutedLoads, n_ranks: int) -> FloatArray:
    arrays = []
    for f in fields(part):
        values = getattr(part, f.name)
        by_rank = np.moveaxis(values, 1, 0) if values.ndim > 1 else values
        arrays.append(by_rank.reshape(n_ranks, -1))
    return np.column_stack(arrays)


def _recolor(rows_RF: FloatArray | IntArray) -> IntArray:
    """Number equal rows alike, in order of first appearance."""
    _, first, color_R = np.unique(np.round(rows_RF, 9), axis=0, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    return np.asarray(order[color_R.reshape(-1)], dtype=np.int64)


def _refine(step: StepSpec, color_R: IntArray) -> tuple[IntArray, IntArray]:
    columns = []
    for size in group_sizes(step).values():
        colors = np.sort(color_R.reshape(-1, size), axis=1)
        distinct = np.where(np.diff(colors, axis=1, prepend=-1) == 0, -1, colors)
        columns.append(np.repeat(_recolor(np.sort(distinct, axis=1)), size))
    group_RG = np.column_stack(columns)
    return _recolor(np.column_stack([color_R, group_RG])), group_RG


def view(step: StepSpec, classes: RankClasses, batch: RankBatch, loads: RoutedLoads, suffix: str) -> View:
    """Return the part of a batch and its loads that belongs to the lowest rank of each class."""
    at = classes.rank_C
    batch_C = RankBatch(**{f.name: getattr(batch, f.name)[at] for f in fields(RankBatch)})
    loads_C = RoutedLoads(**{f.name: getattr(loads, f.name)[:, at] for f in fields(RoutedLoads)})
    return View(step=step, classes=classes, batch=batch_C, loads=loads_C, suffix=suffix)
