"""Blocks of prompts that are kept by their hash, to be used again."""

from collections.abc import Sequence

from simulator.serving.blocks import Blocks


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
