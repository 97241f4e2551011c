"""Paged KV cache of a replica: exact blocks of sequences that all grow by one token per step.

The blocks of n growing sequences need no visit to each of them. A sequence with c cached tokens takes a new block in the
step in which c is a multiple of the block size; c minus the number of decode steps so far never changes while it
decodes, so counting sequences by that difference modulo the block size says how many blocks any step takes.
"""

from collections.abc import Sequence


class Blocks:
    """Blocks of one pool: `total`, `used` by running sequences, and the decoding sequences by phase."""

    def __init__(self, total: int, block_tokens: int) -> None:
        self.total = total
        self.block_tokens = block_tokens
        self.used = 0
        self._phases = [0] * block_tokens

    def of(self, tokens: int) -> int:
        """Return the blocks that `tokens` take."""
        return -(-tokens // self.block_tokens)

    @property
    def free(self) -> int:
        """Blocks that no running sequence uses."""
        return self.total - self.used

    def join(self, cached_tokens: int, step: int) -> None:
        """Count a sequence that decodes from decode step number `step` on."""
        self._phases[(cached_tokens - step) % self.block_tokens] += 1

    def leave(self, cached_tokens: int, step: int) -> None:
        """Stop counting a sequence; its blocks are the caller's to give back."""
        self._phases[(cached_tokens - step) % self.block_tokens] -= 1

    def taken_at(self, step: int) -> int:
        """Return the blocks that all decoding sequences take in decode step number `step`."""
        return self._phases[-step % self.block_tokens]

    def steps_that_fit(self, step: int, n_steps: int, n_decode: int) -> int:
        """Return how many of the next `n_steps` decode steps find room for the blocks that they take."""
        room, size = self.total - self.used, self.block_tokens
        if n_decode * (n_steps // size + 1) <= room:
            return n_steps
        cycles = room // n_decode if n_decode else 0  # every sequence takes one block in each `size` steps
        fitting, room = cycles * size, room - cycles * n_decode
        while fitting < n_steps:
            room -= self._phases[-(step + fitting) % size]
            if room < 0:
                return fitting
            fitting += 1
        return n_steps

    def grow(self, step: int, n_steps: int, n_decode: int) -> None:
        """Take the blocks of `n_steps` decode steps from number `step` on."""
        size, phases = self.block_tokens, self._phases
        cycles, rest = divmod(n_steps, size)
        taken = cycles * n_decode
        for i in range(step, step + rest):
            taken += phases[-i % size]
        self.used += taken


class PrefixCache:
    """Hashed blocks of prompts: those in use by running requests, and idle ones that go, oldest first, for room.

    A hashed block is `blocks_each` KV blocks. Idle ones do not count as used; `trim` drops those that no longer fit,
    and has to run before the pool shrinks and before a look-up, since room is lost between these only.
    """

    def __init__(self, blocks: Blocks, blocks_each: int) -> None:
        self._blocks = blocks
        self.blocks_each = blocks_each
        self._users: dict[int, int] = {}
        self._idle: dict[int, None] = {}  # in the order of their last use

    def trim(self) -> None:
        """Drop the idle blocks that have lost their room, least recently used first."""
        idle = self._idle
        while idle and self._blocks.used + len(idle) * self.blocks_each > self._blocks.total:
            del idle[next(iter(idle))]

    def n_known(self, ids: Sequence[int]) -> int:
        """Return how many leading hashes are cached."""
        self.trim()
        for n, one in enumerate(ids):
            if one not in self._users and one not in self._idle:
                return n
        return len(ids)

    def newly_used(self, ids: Sequence[int]) -> int:
        """Return the KV blocks that using these cached hashes would count as used from then on."""
        return self.blocks_each * sum(one in self._idle for one in ids)

    def use(self, ids: Sequence[int]) -> None:
        """Count one more user of these cached hashes."""
        for one in ids:
            if one in self._idle:
                del self._idle[one]
                self._blocks.used += self.blocks_each
            self._users[one] = self._users.get(one, 0) + 1

    def publish(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Make known the hashes that a request has just computed; return those that it now shares (others had computed
        the rest beside it: those copies stay its own)."""
        self.trim()
        fresh = tuple(dict.fromkeys(one for one in ids if one not in self._users and one not in self._idle))
        for one in fresh:
            self._users[one] = 1
        return fresh

    def release(self, ids: Sequence[int]) -> None:
        """Count one user less; hashes without users turn idle, the last of a prompt first in line to go."""
        for one in reversed(ids):
            self._users[one] -= 1
            if not self._users[one]:
                del self._users[one]
                self._idle[one] = None
                self._blocks.used -= self.blocks_each
