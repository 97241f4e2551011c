"""How many sequences decode in each attention group of a replica and with how many cached tokens, between the times at
which the groups themselves are looked at. G groups."""

import numpy as np

from simulator.serving.group import Group


class OneGroup:
    """The decodes of a replica that is one attention group: `n` sequences with `context` cached tokens in all, `growth`
    more after each step."""

    def __init__(self) -> None:
        self.n = 0
        self.context = self.growth = 0.0

    def put(self, group: Group) -> None:
        """Take a group's decodes as they stand."""
        admission = group.admission
        self.n, self.context, self.growth = (
            admission.decodes.n,
            admission.decodes.context,
            admission.decodes.growth_per_step,
        )

    def grow(self, n_steps: int) -> None:
        """Every decode has taken part in `n_steps` steps."""
        self.context += self.growth * n_steps

    def fullest(self) -> int | None:
        """Return the index of the group with most cached tokens, None where there is but one group."""
        return None


class ManyGroups(OneGroup):
    """The same of several groups."""

    def __init__(self, n_groups: int) -> None:
        super().__init__()
        self._n_G = [0] * n_groups
        self._context_G = np.zeros(n_groups)
        self._growth_G = np.zeros(n_groups)

    def put(self, group: Group) -> None:
        """Take a group's decodes as they stand."""
        admission, g = group.admission, group.index
        self.n += admission.decodes.n - self._n_G[g]
        self._n_G[g] = admission.decodes.n
        self._context_G[g], self._growth_G[g] = admission.decodes.context, admission.decodes.growth_per_step
        self.context, self.growth = float(self._context_G.sum()), float(self._growth_G.sum())

    def grow(self, n_steps: int) -> None:
        """Every decode of every group has taken part in `n_steps` steps."""
        self._context_G += self._growth_G * n_steps
        self.context += self.growth * n_steps

    def fullest(self) -> int | None:
        """Return the index of the group with most cached tokens."""
        return int(self._context_G.argmax())


def group_loads(n_groups: int) -> OneGroup:
    """Return the loads of so many groups, which have nothing to do yet."""
    return OneGroup() if n_groups == 1 else ManyGroups(n_groups)
