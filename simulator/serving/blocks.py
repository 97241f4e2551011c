"""Paged KV cache of a replica: exact blocks of sequences that grow from step to step.

The blocks of n sequences that all gain one token per step need no visit to each of them. One with c cached tokens takes
a block in the step in which c is a multiple of the block size; c minus the number of decode steps so far never changes
while it decodes, so counting sequences by that difference modulo the block size says how many blocks any step takes.
"""

from simulator.serving.growth import Growth
from simulator.serving.knobs import BackendKnobs


class Blocks:
    """Blocks of one pool, `total` and `used` by running requests, where every decode gains one token per step."""

    slots_ahead = 0  # of a decode, beyond the slot of its next token

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

    def leave(self, growth: Growth, step: int) -> int:
        """Stop counting a sequence before decode step `step` and return its blocks: the caller's to give back."""
        self._n_growing -= 1
        self._phases[(growth.cached - growth.from_step) % self.block_tokens] -= 1
        return self.of(growth.cached + growth.gained(step))

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
    """As `Blocks`, where drafts are verified: in each step a sequence holds slots for its next token and `slots_ahead`
    more, whether or not they are accepted, and keeps the blocks of those that are not.

    With n drafts that is 2 n: vLLM's V1 scheduler asks for the next token, its drafts and as many lookahead slots again
    (0.19, v1/core/kv_cache_manager.py, allocate_slots, for EAGLE and MTP); SGLang's bound is the same for top-k 1.
    """

    def __init__(self, total: int, block_tokens: int, *, slots_ahead: int) -> None:
        super().__init__(total, block_tokens)
        self.slots_ahead = slots_ahead
        self._taken: dict[int, int] = {}
        self._n_planned = 0

    def join(self, growth: Growth) -> None:
        """Plan the blocks of a sequence that decodes from now on."""
        for step in self._steps(growth):
            self._taken[step] = self._taken.get(step, 0) + 1
            self._n_planned += 1

    def leave(self, growth: Growth, step: int) -> int:
        """Give up the blocks planned from decode step `step` on and return those that the sequence holds."""
        held = self.of(growth.cached)
        for planned in self._steps(growth):
            if planned < step:
                held += 1
            else:
                self._taken[planned] -= 1
                self._n_planned -= 1
        return held

    def _steps(self, growth: Growth) -> list[int]:
        """Decode steps in which the sequence takes a block, as often as it takes one: slot i after those cached is
        asked for in the first step that i - 1 - `slots_ahead` tokens or more were gained before."""
        cached, from_step, tokens, n_steps = growth
        first = -cached % self.block_tokens + 1
        last = growth.gained(growth.last_step - 1) + 1 + self.slots_ahead
        before = (max(0, i - 1 - self.slots_ahead) for i in range(first, last + 1, self.block_tokens))
        return [from_step - (-gained * n_steps // tokens) for gained in before]

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


class IterationBlocks(PlannedBlocks):
    """As `PlannedBlocks`, where the scheduler launches `n_steps` decode steps at once and so has to hold slots for all
    that they may bring, `most` = n_steps · (1 + drafts), before it knows what the ones under way do.

    A sequence runs iterations of its own, from the step on in which it joins. With U tokens of each step of the one
    before, iteration i holds slots for R_i = 2 · most - ΣU tokens beyond those cached when it begins, R_0 = most: what
    was cached one iteration earlier and twice `most`, for as long as that one runs its tokens are not known. For one
    draft that is LongCat-Flash's 4 n - ΣU in [2 n, 3 n] (report, 6.1.2); in general it is in [most, most + n · drafts].
    Where steps with prompts come between, the scheduler's iterations are not those of every sequence: whenever it
    looks, the blocks that the next `n_steps` steps take have to be free.
    """

    def __init__(self, total: int, block_tokens: int, *, n_steps: int, n_draft: int) -> None:
        self._n, self._most = n_steps, n_steps * (1 + n_draft)
        super().__init__(total, block_tokens, slots_ahead=2 * self._most - 2)

    def held_slots(self, growth: Growth, iteration: int) -> int:
        """Return the slots that a sequence holds in its iteration of that number, those cached included."""
        if iteration == 0:
            return growth.cached + self._most
        before = growth.from_step + (iteration - 1) * self._n
        return growth.cached + growth.gained(before) + 2 * self._most

    def _steps(self, growth: Growth) -> list[int]:
        cached, from_step, tokens, n_steps = growth
        latest = (n_steps + self._n - 2) // self._n  # that may begin before the scheduler looks after the end
        first, last = -cached % self.block_tokens + 1, self.held_slots(growth, latest) - cached
        return [
            from_step + self._n * self._asked_in(i, tokens, n_steps) for i in range(first, last + 1, self.block_tokens)
        ]

    def _asked_in(self, slot: int, tokens: int, n_steps: int) -> int:
        """The iteration that first holds slot number `slot` beyond those cached."""
        if slot <= self._most:
            return 0
        gained = max(0, slot - 2 * self._most)
        steps = -(-gained * n_steps // tokens)
        return 1 - (-steps // self._n)

    def taken_at(self, step: int) -> int:
        """Return the blocks that all decoding sequences take in an iteration from decode step `step` on."""
        return sum(self._taken.get(i, 0) for i in range(step, step + self._n))

    def steps_that_fit(self, step: int, n_steps: int) -> int:
        """Return after how many of `n_steps` decode steps from `step` on the next iteration may not find room."""
        fitting = super().steps_that_fit(step, n_steps + self._n - 1)
        return min(n_steps, max(1, fitting - self._n + 1))


def block_pool(total: int, knobs: BackendKnobs, *, n_draft: int) -> Blocks:
    """Return a pool for sequences that verify `n_draft` drafts per step."""
    if knobs.steps_per_schedule > 1:
        return IterationBlocks(total, knobs.block_tokens, n_steps=knobs.steps_per_schedule, n_draft=n_draft)
    if n_draft:
        return PlannedBlocks(total, knobs.block_tokens, slots_ahead=2 * n_draft)
    return Blocks(total, knobs.block_tokens)
