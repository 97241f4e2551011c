"""Paged KV cache of a replica: exact blocks of sequences that grow from step to step.

The blocks of n sequences that all gain one token per step need no visit to each of them. One with c cached tokens takes
a block in the step in which c is a multiple of the block size; c minus the number of decode steps so far never changes
while it decodes, so counting sequences by that difference modulo the block size says how many blocks any step takes.
"""

from simulator.serving.growth import Growth


class Blocks:
    """Blocks of one pool, `total` and `used` by running requests, where every decode gains one token per step."""

    def __init__(self, total: int, block_tokens: int) -> None:
        self.total = total
        self.block_tokens = block_tokens
        self.used = 0
        self._n_growing = 0
        self._phases = [0] * block_tokens

    def of(self, tokens: int) -> int:
        """Return the blocks that `tokens` take."""
        return -(-tokens // self.block_tokens)

    @property
    def free(self) -> int:
        """Blocks that no running request uses."""
        return self.total - self.used

    def join(self, growth: Growth) -> None:
        """Count a sequence that decodes from now on."""
        self._n_growing += 1
        self._phases[(growth.cached - growth.from_step) % self.block_tokens] += 1

    def leave(self, growth: Growth, step: int) -> None:
        """Stop counting a sequence before decode step `step`; its blocks are the caller's to give back."""
        del step
        self._n_growing -= 1
        self._phases[(growth.cached - growth.from_step) % self.block_tokens] -= 1

    def taken_at(self, step: int) -> int:
        """Return the blocks that all decoding sequences take in decode step `step`."""
        return self._phases[-step % self.block_tokens]

    def steps_that_fit(self, step: int, n_steps: int) -> int:
        """Return how many of `n_steps` decode steps from `step` on find room for the blocks that they take."""
        room, size, n = self.free, self.block_tokens, self._n_growing
        if n * (n_steps // size + 1) <= room:
            return n_steps
        cycles = room // n  # every sequence takes one block in each `size` steps
        fitting, room = cycles * size, room - cycles * n
        while fitting < n_steps:
            room -= self._phases[-(step + fitting) % size]
            if room < 0:
                return fitting
            fitting += 1
        return n_steps

    def grow(self, step: int, n_steps: int) -> None:
        """Take the blocks of `n_steps` decode steps from `step` on."""
        size, phases = self.block_tokens, self._phases
        cycles, rest = divmod(n_steps, size)
        taken = cycles * self._n_growing
        for i in range(step, step + rest):
            taken += phases[-i % size]
        self.used += taken


class PlannedBlocks(Blocks):
    """As `Blocks`, where sequences gain more than one token in some steps: each plans the steps of its blocks."""

    def __init__(self, total: int, block_tokens: int) -> None:
        super().__init__(total, block_tokens)
        self._taken: dict[int, int] = {}
        self._n_planned = 0

    def join(self, growth: Growth) -> None:
        """Plan the blocks of a sequence that decodes from now on."""
        for step in self._steps(growth):
            self._taken[step] = self._taken.get(step, 0) + 1
            self._n_planned += 1

    def leave(self, growth: Growth, step: int) -> None:
        """Give up the blocks planned from decode step `step` on."""
        for planned in self._steps(growth):
            if planned >= step:
                self._taken[planned] -= 1
                self._n_planned -= 1

    def _steps(self, growth: Growth) -> list[int]:
        """Decode steps in which the sequence takes a block, as often as it takes one: the i-th token comes in step
        ⌈i · n_steps / tokens⌉."""
        cached, from_step, tokens, n_steps = growth
        first = -cached % self.block_tokens + 1
        return [from_step - (-i * n_steps // tokens) - 1 for i in range(first, tokens + 1, self.block_tokens)]

    def taken_at(self, step: int) -> int:
        """Return the blocks that all decoding sequences take in decode step `step`."""
        return self._taken.get(step, 0)

    def steps_that_fit(self, step: int, n_steps: int) -> int:
        """Return how many of `n_steps` decode steps from `step` on find room for the blocks that they take."""
        room, taken = self.free, self._taken
        if self._n_planned <= room:
            return n_steps
        for fitting in range(n_steps):
            room -= taken.get(step + fitting, 0)
            if room < 0:
                return fitting
        return n_steps

    def grow(self, step: int, n_steps: int) -> None:
        """Take the blocks of `n_steps` decode steps from `step` on."""
        for i in range(step, step + n_steps):
            taken = self._taken.pop(i, 0)
            self.used += taken
            self._n_planned -= taken
