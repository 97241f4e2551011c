"""Who runs in an attention group: admission, the budget of a step, KV blocks, preemption and the prefix cache.

Time does not pass here: `replica` says when a step has ended. The rules are those of vLLM's V1 scheduler: decodes
first, then the prompt that is under way, then waiting requests in order until the first that finds no room; a decode
without a block preempts the latest to be admitted, and nobody is admitted in that step.
"""

from typing import NamedTuple

from simulator.serving.blocks import Blocks, PlannedBlocks
from simulator.serving.growth import Growth, Plain, Speculation
from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import RUNNING, WAITING, Ledger
from simulator.serving.longest import Longest
from simulator.serving.prefix_cache import PrefixCache
from simulator.serving.waiting import WaitingQueue


class Chunk(NamedTuple):
    """New tokens of a prompt in one step, and its tokens that are cached when the step starts."""

    request: int
    new_tokens: int
    context_tokens: int


class Admission:
    """The requests of one attention group: those that wait, those at their prompt, those that decode.

    `n_decode` sequences decode with `decode_context` cached tokens in all, `growth_per_step` more after each step;
    `step` counts decode steps. `moved_tokens`:
    cached tokens that went to the host or came back since the last step (preemption by swapping).
    """

    def __init__(self, *, ledger: Ledger, knobs: BackendKnobs, kv_blocks: int, law: Plain | Speculation) -> None:
        self.waiting = WaitingQueue(knobs.policy, ledger)
        kind = PlannedBlocks if law.queries > 1 else Blocks
        self.blocks = kind(kv_blocks, knobs.block_tokens)
        self.n_decode = self.step = self.moved_tokens = 0
        self.decode_context = self.growth_per_step = 0.0
        self._law = law
        self.preempted_s: dict[int, float] = {}
        self.may_change = False  # whether the next step may admit someone though nobody ends and nobody arrives
        self._ledger = ledger
        self._knobs = knobs
        self._room_tokens = kv_blocks * knobs.block_tokens
        self._spare_blocks = int(knobs.watermark * self.blocks.total)
        self._to_come = 0.0  # tokens that the decoding sequences have still to be answered with
        self._running: dict[int, None] = {}  # in the order of admission
        self._computed: dict[int, int] = {}  # prompts under way: tokens in the cache
        self._growing: dict[int, Growth] = {}  # decodes
        self._longest = Longest()
        self._shared: dict[int, tuple[int, ...]] = {}
        self._swapped: dict[int, int] = {}
        self._cache: PrefixCache | None = None
        self._hash_tokens = 0

    def cache_prefixes(self, hash_tokens: int) -> None:
        """Keep prompts' blocks by hashes of `hash_tokens` tokens each, a multiple of the KV block."""
        if self._cache is None and self._knobs.prefix_caching:
            self._cache = PrefixCache(self.blocks, hash_tokens // self._knobs.block_tokens)
            self._hash_tokens = hash_tokens

    @property
    def n_running(self) -> int:
        """Requests that hold KV blocks."""
        return len(self._running)

    @property
    def n_prompts(self) -> int:
        """Requests at their prompt."""
        return len(self._computed)

    @property
    def reserves(self) -> bool:
        """Whether room is kept for tokens to come, so that a request may find room though none ends."""
        return self._knobs.reserved_output_share > 0.0

    @property
    def longest_decode(self) -> int:
        """Cached tokens of the longest decoding sequence."""
        return self._longest.cached(self._growing, self.step)

    def why_never(self, request: int) -> str:
        """Return why a request can never be answered, or nothing."""
        prompt, output = self._ledger.prompt_tokens[request], self._ledger.output_tokens[request]
        if prompt < 1 or output < 1:
            return f"{prompt} prompt and {output} output tokens: at least one of each is needed"
        if prompt + output - 1 > self._room_tokens:
            return f"{prompt} prompt and {output} output tokens exceed the KV room of {self._room_tokens} tokens"
        return ""

    def last_step(self, request: int) -> int:
        """Return the decode step after which a decode is done."""
        return self._growing[request].last_step

    def make_room(self, now_s: float) -> list[tuple[int, int]]:
        """Preempt the latest requests until every decode left finds its block; return the decodes that had to go, each
        with its `last_step`."""
        gone = []
        while self.blocks.taken_at(self.step) > self.blocks.free:
            latest = next(reversed(self._running))
            if latest in self._computed:
                self._drop_prompt(latest)
            else:
                gone.append((latest, self.last_step(latest)))
                self._preempt(latest, now_s)
            self.may_change = True
        return gone

    def chunks(self, *, admit: bool) -> tuple[list[Chunk], list[int]]:
        """Return the prompts' chunks of the next step and the swapped requests that are back among the decodes.

        `admit`: waiting requests may enter.
        """
        mixed = self._knobs.mixed_steps
        budget = self._knobs.max_batched_tokens - (self.n_decode * self._law.queries if mixed else 0)
        room = self.blocks.free - (self.blocks.taken_at(self.step) if mixed else 0)
        found: list[Chunk] = []
        for request, done in list(self._computed.items()):
            new = min(self._target(request) - done, budget)
            need = self.blocks.of(done + new) - self.blocks.of(done)
            if need > room:  # it is the latest to be admitted: preempts itself
                self._drop_prompt(request)
                self.may_change = True
                return found, []
            if new > 0:
                self.blocks.used += need
                room, budget = room - need, budget - new
                found.append(Chunk(request, new, done))
        if not admit or not len(self.waiting):
            return found, []
        return self._admitted(found, budget, room)

    def _admitted(self, found: list[Chunk], budget: int, room: int) -> tuple[list[Chunk], list[int]]:
        back: list[int] = []
        while len(self.waiting) and len(self._running) < self._knobs.max_num_seqs:
            request = self.waiting.peek()
            if request in self._swapped:
                need = self.blocks.of(self._swapped[request] + 1)
                if need > room and self._running:
                    break
                self._swap_in(self.waiting.pop())
                back.append(request)
                room -= need
                continue
            hit = self.hit_tokens(request)
            missing = self._target(request) - hit
            new = min(missing, budget) if self._knobs.chunked_prefill else missing
            if new < 1 or (new > budget and found):
                break
            need = self.blocks.of(hit + new) - hit // self._knobs.block_tokens
            shared = self._ids(request)[: hit // self._hash_tokens] if hit else ()
            fresh = need + (self._cache.newly_used(shared) if self._cache and shared else 0)
            if fresh > room - (self._kept(request) if self._running else 0):
                break
            self._admit(self.waiting.pop(), shared, need)
            room, budget = room - fresh, budget - new
            found.append(Chunk(request, new, hit))
        return found, back

    def _kept(self, request: int) -> float:
        """Blocks that admission has to leave free."""
        share = self._knobs.reserved_output_share
        to_come = self._to_come + self._ledger.output_tokens[request] if share else 0
        return max(self._spare_blocks, share * to_come / self._knobs.block_tokens)

    def _admit(self, request: int, shared: tuple[int, ...], need: int) -> None:
        if self._cache and shared:
            self._cache.use(shared)
            self._shared[request] = shared
        self.blocks.used += need
        hit = len(shared) * self._hash_tokens
        self._computed[request] = hit
        self._running[request] = None
        ledger = self._ledger
        ledger.state[request] = RUNNING
        if ledger.preemptions[request] == 0:
            ledger.hit_tokens[request] = hit

    def _target(self, request: int) -> int:
        """Tokens to compute before the next one can be sampled: the prompt and what had been answered."""
        return self._ledger.prompt_tokens[request] + self._ledger.emitted[request]

    def _ids(self, request: int) -> tuple[int, ...]:
        return self._ledger.prefix_ids[request]

    def hit_tokens(self, request: int) -> int:
        """Return the leading tokens of the prompt that are cached; one at least is left to compute."""
        if self._cache is None or not self._ids(request):
            return 0
        most = (self._ledger.prompt_tokens[request] - 1) // self._hash_tokens
        return self._cache.n_known(self._ids(request)[:most]) * self._hash_tokens

    def computed(self, chunk: Chunk) -> bool:
        """Note that a chunk is computed; return whether that was the last of its request."""
        done = chunk.context_tokens + chunk.new_tokens
        self._computed[chunk.request] = done
        if done < self._target(chunk.request):
            return False
        self._publish(chunk.request, self._ledger.prompt_tokens[chunk.request])
        return True

    def _publish(self, request: int, cached: int) -> None:
        """Make known the full blocks of a request's first `cached` tokens."""
        if self._cache and self._ids(request):
            known = self._shared.get(request, ())
            full = self._ids(request)[len(known) : cached // self._hash_tokens]
            self._shared[request] = known + self._cache.publish(full)

    def join_decodes(self, request: int) -> None:
        """A request whose tokens are computed decodes from the next decode step on."""
        self._join(request, self._computed.pop(request))

    def _join(self, request: int, cached: int) -> None:
        tokens = self._ledger.output_tokens[request] - self._ledger.emitted[request]
        growth = Growth(cached, self.step, tokens, self._law.n_steps(tokens))
        self.n_decode += 1
        self.decode_context += cached
        self.growth_per_step += tokens / growth.n_steps
        self._to_come += tokens
        self._growing[request] = growth
        self._longest.join(request, growth)
        self.blocks.join(growth)

    def grow(self, n_steps: int) -> None:
        """Every decode has taken part in `n_steps` steps."""
        self.blocks.grow(self.step, n_steps)
        self.step += n_steps
        gained = self.growth_per_step * n_steps
        self.decode_context += gained
        self._to_come -= gained

    def _leave(self, request: int) -> int:
        """Take a request out of the decodes and return its cached tokens."""
        growth, step = self._growing.pop(request), self.step
        self.n_decode -= 1
        if self.n_decode:
            self.decode_context -= growth.mean_cached(step)
            self.growth_per_step -= growth.tokens / growth.n_steps
        else:  # nothing is left of rounding either
            self.decode_context = self.growth_per_step = self._to_come = 0.0
        self.blocks.leave(growth, step)
        return growth.cached + growth.gained(step)

    def finish_decode(self, request: int) -> None:
        """The last token of a request is out: its blocks are free."""
        cached = self._leave(request)
        self._publish(request, cached)
        self._free(request, cached)

    def finish_prompt(self, request: int) -> None:
        """As `finish_decode`, for a request that is answered with one token."""
        self._free(request, self._computed.pop(request))

    def _free(self, request: int, cached: int) -> None:
        own = self.blocks.of(cached)
        shared = self._shared.pop(request, ())
        if self._cache:
            self._cache.trim()  # while the pool is at its fullest
            own -= len(shared) * self._cache.blocks_each
            self._cache.release(shared)
        self.blocks.used -= own
        del self._running[request]

    def _drop_prompt(self, request: int) -> None:
        """Preempt a request at its prompt: all of it is computed again."""
        self._free(request, self._computed.pop(request))
        self._back_to_the_queue(request)

    def _preempt(self, request: int, now_s: float) -> None:
        self._ledger.emitted[request] += self._growing[request].gained(self.step)
        self._to_come -= self._ledger.output_tokens[request] - self._ledger.emitted[request]
        cached = self._leave(request)
        self.preempted_s[request] = now_s
        if self._knobs.preemption == "swap":
            self._swapped[request] = cached
            self.moved_tokens += cached
        self._free(request, cached)
        self._back_to_the_queue(request)

    def _back_to_the_queue(self, request: int) -> None:
        self._ledger.preemptions[request] += 1
        self._ledger.state[request] = WAITING
        self.waiting.push_front(request)

    def _swap_in(self, request: int) -> None:
        cached = self._swapped.pop(request)
        self.moved_tokens += cached
        self.blocks.used += self.blocks.of(cached)
        self._running[request] = None
        self._ledger.state[request] = RUNNING
        self._join(request, cached)
