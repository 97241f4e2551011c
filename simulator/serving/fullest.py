"""The part of the attention group for which the others wait."""

from collections.abc import Sequence

from simulator.serving.group import Group
from simulator.serving.step_times import Chunk, GroupBatch

Planned = Sequence[tuple[Group, list[Chunk]]]


def fullest_with_prompts(
    groups: Sequence[Group], planned: Planned, *, queries: int, decodes: bool
) -> tuple[GroupBatch | None, int]:
    """Return the part of the group with most new tokens (None where there is one group), each decode having `queries`
    of them where they take part, and the cached tokens of its longest decode."""
    if len(groups) == 1:
        return None, groups[0].admission.decodes.longest if decodes else 0
    parts = [(group.batch(chunks, decodes=decodes), group) for group, chunks in planned]
    most, group = max(parts, key=lambda part: part[0].prefill_tokens + part[0].n_decode * queries)
    return most, group.admission.decodes.longest if decodes else 0


def fullest_of_decodes(groups: Sequence[Group], index: int | None, steps: int) -> tuple[GroupBatch | None, int]:
    """Return the part of the group with most cached tokens, number `index` (None where there is one group), after the
    replica's step number `steps`, and the cached tokens of its longest decode."""
    group = groups[index or 0]
    group.follow(steps)
    return None if index is None else group.batch([], decodes=True), group.admission.decodes.longest
