"""Decodes that wait: behind prompts, after a preemption, or for their first step on this replica."""

from collections.abc import Sequence

from simulator.serving.gaps import StepLog
from simulator.serving.group import Group


class StalledGroups:
    """Groups with decodes that wait, whose gap before the next token is no step's length."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = groups
        self._indices: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._indices)

    def put(self, group: Group) -> None:
        """Take a group as it stands now."""
        (self._indices.add if group.stalled else self._indices.discard)(group.index)

    def sit_out(self, group: Group, since_s: float) -> None:
        """The decodes of a group wait since `since_s` [s], unless some of it wait already."""
        if group.admission.decodes.n and not group.stalled:
            group.stalled = [(since_s, group.admission.decodes.n)]

    def take_part(self, step_log: StepLog, start_s: float, step_s: float, sitting: Sequence[Group] = ()) -> None:
        """Those that waited decode in the step from `start_s` on that lasts `step_s` [s], but for `sitting` groups."""
        for index in [i for i in sorted(self._indices) if self._groups[i] not in sitting]:
            for since_s, n in self._groups[index].take_stalled(start_s):
                step_log.odd_gap(start_s - since_s + step_s, n)
                step_log.odd_gap(step_s, -n)
            self._indices.discard(index)
