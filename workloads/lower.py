"""From a step of work to its op graph: `lower`."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from workloads.batch import Batch, Mtp, Precision
from workloads.contexts import draw_contexts, rank_batches
from workloads.graph import OpGraph
from workloads.loads import RoutedLoads, routed_loads
from workloads.lowering.ends import draft_heads, embedding, lm_head, sampling
from workloads.lowering.layers import lower_layers
from workloads.lowering.view import View, classify, view
from workloads.ops import FloatArray
from workloads.schedules.build import Deps, GraphBuilder
from workloads.schedules.table import SCHEDULES
from workloads.step import StepSpec

_ANY_BATCH, _ANY_PRECISION, _NO_DRAFTS = Batch(), Precision(), Mtp()


def lower(step: StepSpec, schedule: str, *, reduce_ranks: bool = True) -> OpGraph:
    """Return the op graph of one step under a schedule of `workloads.schedules.table`.

    The batch is cut into as many parts as the schedule has; layers come from the parts, embedding, LM head, sampling
    and draft heads from the whole batch, after the layers. `reduce_ranks` false: every rank is a class of its own.
    """
    plan = SCHEDULES[schedule]
    contexts_GS = draw_contexts(step, np.random.default_rng(step.seed))
    batches = rank_batches(step, contexts_GS, plan.n_parts)
    loads = [_loads(step, batch.tokens_R, part) for part, batch in enumerate(batches)]
    whole = rank_batches(step, contexts_GS, 1)[0]
    if step.layout.replicated:
        *batches, whole = (replace(batch, tokens_R=batch.group_tokens_R) for batch in [*batches, whole])
    all_loads = _together(loads)
    classes = classify(step, [*batches, whole], loads, reduce_ranks=reduce_ranks)
    suffixes = ["@a", "@b"] if plan.n_parts == 2 else [""]
    views = [view(step, classes, b, load, s) for b, load, s in zip(batches, loads, suffixes, strict=True)]
    build = GraphBuilder()
    _place(build, schedule, views, view(step, classes, whole, all_loads, ""))
    return OpGraph(ops=build.ops, rank_C=classes.rank_C, n_alike_C=classes.n_alike_C, expert_rows_LR=all_loads.rows_LR)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What loads follow from: equal where `text` is, which spells the rest."""

    text: str
    step: StepSpec = field(compare=False)
    tokens_R: FloatArray = field(compare=False)
    part: int = field(compare=False)


def _loads(step: StepSpec, tokens_R: FloatArray, part: int) -> RoutedLoads:
    """The routed loads, remembered over the schedules that a comparison tries; files may change, so theirs are not."""
    if step.routing.popularity.startswith(("counts:", "trace:")):
        return routed_loads(step, tokens_R, part)
    text = f"{_what_loads_follow_from(step)} {part} {tokens_R.tolist()}"
    return _remembered(_Asked(text=text, step=step, tokens_R=tokens_R, part=part))


def _what_loads_follow_from(step: StepSpec) -> StepSpec:
    """The step without what cannot change the loads of given tokens: how attention and dense FFNs are split, number
    formats, contexts, parts. Of a placement made from a window of steps everything counts."""
    if step.layout.window_steps:
        return step
    layout = replace(step.layout, attention_tp=1, dense_tp=1)
    return replace(
        step, layout=layout, batch=_ANY_BATCH, precision=_ANY_PRECISION, mtp=_NO_DRAFTS, parts=(), chunks=None,
        fullest=None,
    )  # fmt: skip


@lru_cache(maxsize=256)
def _remembered(asked: _Asked) -> RoutedLoads:
    return routed_loads(asked.step, asked.tokens_R, asked.part)


def _together(loads: Sequence[RoutedLoads]) -> RoutedLoads:
    """Loads of all parts of the batch at once; an expert is active where it is in any part."""
    if len(loads) == 1:
        return loads[0]
    names = RoutedLoads.__dataclass_fields__
    total = {name: sum(getattr(part, name) for part in loads) for name in names}
    total["active_LR"] = np.max([part.active_LR for part in loads], axis=0)
    return RoutedLoads(**total)


def _place(build: GraphBuilder, schedule: str, views: Sequence[View], whole: View) -> None:
    step = whole.step
    after: Deps = ()
    if "layers" in step.parts:
        after = build.chain(embedding(whole), stream="main", layer=-1, after=after)
        after = SCHEDULES[schedule].place(build, [lower_layers(v) for v in views], after)
    ends = {"lm_head": lm_head, "sampling": sampling, "mtp": draft_heads}
    for part, works in ends.items():
        if part in step.parts:
            after = build.chain(works(whole), stream="main", layer=-1, after=after)
