"""Prompts of one scheduler that begin alike: what is cached of them, and who shares it.

Hits are whole KV blocks, and one token at least is left to compute (vLLM 0.19, v1/core/kv_cache_manager.py,
get_computed_blocks; SGLang 0.5.6's radix cache is the same with blocks of its page).
"""

from simulator.serving.blocks import Blocks
from simulator.serving.ledger import Ledger
from simulator.serving.prefix_cache import PrefixCache


class Prefixes:
    """The prefix cache by requests; without `cache` nothing is ever known."""

    def __init__(self, ledger: Ledger, blocks: Blocks) -> None:
        self._ledger = ledger
        self._blocks = blocks
        self._cache: PrefixCache | None = None
        self._hash_tokens = 1
        self._shared: dict[int, tuple[int, ...]] = {}

    def cache(self, hash_tokens: int) -> None:
        """Keep prompts' blocks by hashes of `hash_tokens` tokens each, a multiple of the KV block, from now on."""
        if self._cache is None:
            self._cache = PrefixCache(self._blocks, hash_tokens // self._blocks.block_tokens)
            self._hash_tokens = hash_tokens

    def hit_tokens(self, request: int, target: int) -> int:
        """Return the leading tokens that are cached of the `target` to compute."""
        ids = self._ledger.prefix_ids[request] if self._cache else ()
        if self._cache is None or not ids:
            return 0
        size, known = self._blocks.block_tokens, self._cache.n_known(ids[: target // self._hash_tokens])
        return min(known * self._hash_tokens, (target - 1) // size * size)

    def shared(self, request: int, hit: int) -> tuple[tuple[int, ...], int, int]:
        """Return the hashes that a hit of so many tokens uses, their KV blocks, and how many of those would count as
        used from then on only."""
        if self._cache is None or not hit:
            return (), 0, 0
        ids = self._ledger.prefix_ids[request][: -(-hit // self._hash_tokens)]
        return ids, len(ids) * self._cache.blocks_each, self._cache.newly_used(ids)

    def use(self, request: int, shared: tuple[int, ...]) -> None:
        """Let a request use cached hashes."""
        if self._cache and shared:
            self._cache.use(shared)
            self._shared[request] = shared

    def publish(self, request: int, cached: int) -> None:
        """Make known the full blocks of a request's first `cached` tokens."""
        ids = self._ledger.prefix_ids[request] if self._cache else ()
        if self._cache and ids:
            known = self._shared.get(request, ())
            self._shared[request] = known + self._cache.publish(ids[len(known) : cached // self._hash_tokens])

    def release(self, request: int) -> int:
        """Let go of what a request shares and return its KV blocks, which are no longer the request's own."""
        shared = self._shared.pop(request, ())
        if self._cache is None:
            return 0
        self._cache.trim()  # while the pool is at its fullest
        self._cache.release(shared)
        return len(shared) * self._cache.blocks_each
