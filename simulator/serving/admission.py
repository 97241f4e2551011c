"""Who runs in an attention group: admission, the budget of a step, KV blocks, preemption and the prefix cache.

Time does not pass here: `replica` says when a step has ended. The rules are those of vLLM's V1 scheduler: decodes
first, then the prompt that is under way, then waiting requests in order until the first that finds no room; a decode
without a block preempts another, and nobody is admitted in that step. Knobs turn them into SGLang's.

Where scheduling is asynchronous a step is put together while the one before runs: it does not know who comes or ends
in between. So a request is in sight one step later, and what one held is free one step later, unless nothing ran.
"""

from simulator.serving.away import Away
from simulator.serving.blocks import block_pool
from simulator.serving.decodes import Decodes
from simulator.serving.growth import Law
from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import RUNNING, WAITING, Ledger
from simulator.serving.preemption import loser
from simulator.serving.prefixes import Prefixes
from simulator.serving.reserve import OutputReserve
from simulator.serving.step_times import Chunk
from simulator.serving.unnoticed import Unnoticed
from simulator.serving.waiting import WaitingQueue


class Admission:
    """The requests of one attention group: those that wait, those at their prompt, those that decode.

    `moved_tokens`: cached tokens swapped to the host or back since the last step.
    """

    def __init__(self, *, ledger: Ledger, knobs: BackendKnobs, kv_blocks: int, law: Law) -> None:
        self.waiting = WaitingQueue(knobs.policy, ledger)
        self.blocks = block_pool(kv_blocks, knobs, n_draft=law.queries - 1)
        self.decodes = Decodes(law)
        self.moved_tokens = 0
        self.preempted_s: dict[int, float] = {}
        self.may_change = False  # whether the next step may admit someone though nobody ends and nobody arrives
        self._ledger = ledger
        self._knobs = knobs
        self.room_tokens = kv_blocks * knobs.block_tokens
        self.reserves = knobs.reserved_output_share > 0.0  # so that a request may find room though none ends
        self._reserve = OutputReserve(knobs, ledger, self.blocks)
        self._full = False  # somebody found no room, and nobody has left since
        self._running: dict[int, None] = {}  # in the order of admission
        self._computed: dict[int, int] = {}  # prompts under way: tokens in the cache
        self.away = Away()
        self._prefixes = Prefixes(ledger, self.blocks)
        self._unnoticed = Unnoticed()

    def cache_prefixes(self, hash_tokens: int) -> None:
        """Keep prompts' blocks by hashes of `hash_tokens` tokens each, a multiple of the KV block."""
        if self._knobs.prefix_caching:
            self._prefixes.cache(hash_tokens)

    @property
    def n_running(self) -> int:
        """Requests that hold KV blocks."""
        return len(self._running)

    @property
    def n_prompts(self) -> int:
        """Requests at their prompt."""
        return len(self._computed)

    def why_never(self, request: int) -> str:
        """Return why a request can never be answered, or nothing."""
        return self._ledger.why_never(request, room_tokens=self.room_tokens, slots_ahead=self.blocks.slots_ahead)

    def make_room(self, now_s: float) -> list[tuple[int, int]]:
        """Preempt requests until every decode left finds its block; return the decodes that had to go, each with its
        `last_step`."""
        gone: list[tuple[int, int]] = []
        if self._knobs.mixed_steps:
            self._free_noticed()
        while self.blocks.taken_at(self.decodes.step) > self.blocks.free:
            by_output = self._knobs.preempted_first == "fewest_output" and self.decodes.queries == 1
            lost = loser(
                self._ledger, self.decodes, latest_first=reversed(self._running), prompts=self._computed,
                by_output=by_output,
            )  # fmt: skip
            if lost in self._computed:
                self._drop_prompt(lost)
            else:
                gone.append((lost, self.decodes.last_step(lost)))
                self._preempt(lost, now_s)
            self.may_change = True
        if gone:
            self._reserve.preempted(self.decodes.step)
        return gone

    def chunks(self, *, admit: bool) -> tuple[list[Chunk], list[int]]:
        """Return the prompts' chunks of the next step and the swapped requests that are back among the decodes;
        `admit`: waiting requests may enter."""
        if not self._knobs.mixed_steps:
            self._free_noticed()
        if not self._knobs.async_scheduling:
            self.waiting.see()
        found, back = self._picked(admit)
        if self._knobs.async_scheduling:
            if admit and not found and not self.decodes.n:  # nothing runs meanwhile: the next step knows it all
                self._free_noticed()
                self._free_noticed()
                self.waiting.see()
                found, back = self._picked(admit)
            self.may_change |= self._unnoticed.pending or len(self.waiting) > self.waiting.n_in_sight
            self.waiting.see()
        return found, back

    def _free_noticed(self) -> None:
        for request, own in self._unnoticed.look():
            self.free(request, own)

    def _picked(self, admit: bool) -> tuple[list[Chunk], list[int]]:
        mixed = self._knobs.mixed_steps
        budget = self._knobs.max_batched_tokens - (self.decodes.n * self.decodes.queries if mixed else 0)
        room = self.blocks.free - (self.blocks.taken_at(self.decodes.step) if mixed else 0)
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
                self._take(Chunk(request, new, done), found)
        if not admit or not self.waiting.n_in_sight or self._full:
            return found, []
        return self._admitted(found, budget, room)

    def _take(self, chunk: Chunk, found: list[Chunk]) -> None:
        found.append(chunk)
        if self._knobs.prefix_known == "scheduled":
            self._prefixes.publish(chunk.request, chunk.context_tokens + chunk.new_tokens)

    def _admitted(self, found: list[Chunk], budget: int, room: int) -> tuple[list[Chunk], list[int]]:
        back: list[int] = []
        if not self._running:
            self._reserve.restart(self.decodes.step)
        starting = sum(self._reserve.left(c.request) for c in found if self._completes(c))
        while self.waiting.n_in_sight and len(self._running) < self._knobs.max_num_seqs:
            request = self.waiting.peek()
            if request in self.away:
                need = self.blocks.of(self.away.tokens(request) + 1 + self.blocks.slots_ahead)
                if need > room and self._running:
                    break
                if self._bring(self.waiting.pop()):
                    back.append(request)
                room -= need
                continue
            hit = self.hit_tokens(request)
            missing = self._target(request) - hit
            new = min(missing, budget) if self._knobs.chunked_prefill else missing
            if new < 1 or (new > budget and found):
                break
            shared, known, idle = self._prefixes.shared(request, hit)
            need = self.blocks.of(hit + new) - known
            asked = self.blocks.of(hit + missing) - known if self._knobs.whole_prompt_fits else need
            kept = (
                self._reserve.kept_blocks(self.decodes.step, starting + self._reserve.left(request))
                if self._running
                else 0
            )
            if asked + idle > room - kept:
                self._full = self._knobs.admits_after_end and bool(self._running)
                break
            self._admit(self.waiting.pop(), shared, hit, need)
            room, budget = room - need - idle, budget - new
            self._take(Chunk(request, new, hit), found)
            starting += self._reserve.left(request) if new == missing else 0
        return found, back

    def _completes(self, chunk: Chunk) -> bool:
        return chunk.context_tokens + chunk.new_tokens >= self._target(chunk.request)

    def _admit(self, request: int, shared: tuple[int, ...], hit: int, need: int) -> None:
        self._prefixes.use(request, shared)
        self.blocks.used += need
        self._computed[request] = hit
        self._running[request] = None
        ledger = self._ledger
        ledger.state[request] = RUNNING
        if ledger.preemptions[request] == 0:
            ledger.hit_tokens[request] = hit

    def _target(self, request: int) -> int:
        """Tokens to compute before the next one can be sampled: the prompt and what had been answered."""
        return self._ledger.prompt_tokens[request] + self._ledger.emitted[request]

    def hit_tokens(self, request: int) -> int:
        """Return the leading tokens to compute that are cached."""
        return self._prefixes.hit_tokens(request, self._target(request))

    def computed(self, chunk: Chunk) -> bool:
        """Note that a chunk is computed; return whether that was the last of its request."""
        done = chunk.context_tokens + chunk.new_tokens
        self._computed[chunk.request] = done
        self._prefixes.publish(chunk.request, done)
        return self._completes(chunk)

    def join_decodes(self, request: int) -> None:
        """A request whose tokens are computed decodes from the next decode step on."""
        self.join(request, self._computed.pop(request))

    def join(self, request: int, cached: int) -> None:
        """A request whose `cached` tokens are here decodes from the next step on."""
        tokens = self._ledger.output_tokens[request] - self._ledger.emitted[request]
        growth = self.decodes.join(request, cached=cached, tokens=tokens)
        self._reserve.join(request, growth)
        self.blocks.join(growth)

    def grow(self, n_steps: int) -> None:
        """Every decode has taken part in `n_steps` steps."""
        self.blocks.grow(self.decodes.step, n_steps)
        self.decodes.grow(n_steps)

    def _leave(self, request: int) -> tuple[int, int]:
        """Take a request out of the decodes and return its cached tokens and the blocks that it holds."""
        growth, step = self.decodes.leave(request), self.decodes.step
        self._reserve.leave(request, growth, step)
        return growth.cached + growth.gained(step), self.blocks.leave(growth, step)

    def answered(self, request: int) -> None:
        """The last token of a request is out; it decodes until `finish_decode`."""
        self._prefixes.publish(request, self._ledger.prompt_tokens[request] + self._ledger.output_tokens[request] - 1)

    def finish_decode(self, request: int) -> None:
        """A request that is answered decodes no more: its blocks are free, as soon as that is noticed."""
        self._end(request, self._leave(request)[1])

    def finish_prompt(self, request: int) -> None:
        """As `finish_decode`, for a request that is answered with one token."""
        self._end(request, self.blocks.of(self._computed.pop(request)))

    def _end(self, request: int, own: int) -> None:
        if self._knobs.async_scheduling:
            self._unnoticed.add(request, own)
        else:
            self.free(request, own)

    def free(self, request: int, own: int) -> None:
        """A request runs no longer; its `own` blocks are free."""
        del self._running[request]
        self.give_back(request, own)

    def give_back(self, request: int, own: int) -> None:
        """Free the `own` blocks of a request that runs no longer."""
        shared = self._prefixes.release(request)  # takes blocks itself, so before the sum
        self.blocks.used -= own - shared
        self._full = False

    def _drop_prompt(self, request: int) -> None:
        """Preempt a request at its prompt: all of it is computed again."""
        self.free(request, self.blocks.of(self._computed.pop(request)))
        self._back_to_the_queue(request)

    def _preempt(self, request: int, now_s: float) -> None:
        self._ledger.emitted[request] += self.decodes.growing[request].gained(self.decodes.step)
        cached, own = self._leave(request)
        self.preempted_s[request] = now_s
        if self._knobs.preemption == "swap":
            self.away.swap(request, cached)
            self.moved_tokens += cached
        self.free(request, own)
        self._back_to_the_queue(request)

    def _back_to_the_queue(self, request: int) -> None:
        self._ledger.preemptions[request] += 1
        self._ledger.state[request] = WAITING
        queue = self.waiting
        (queue.push_front if self._knobs.preempted_wait == "front" else queue.push_back)(request)

    def _bring(self, request: int) -> bool:
        """Take blocks for what is cached elsewhere; return whether it decodes at once: from the host it does."""
        cached, at_once = self.away.bring(request)
        self.blocks.used += self.blocks.of(cached)
        self._running[request] = None
        self._ledger.state[request] = RUNNING
        if at_once:
            self.moved_tokens += cached
            self.join(request, cached)
        return at_once

    def left(self, now_s: float) -> list[tuple[int, float]]:
        """Return every request, on its way to another replica, with the time of its last token [s] where it has one."""
        for request, growth in self.decodes.growing.items():
            self._ledger.emitted[request] += growth.gained(self.decodes.step)
            self.preempted_s[request] = now_s
        here = [request for request in (*self._running, *self.waiting) if request not in self._unnoticed]
        for request in here:
            self._ledger.state[request] = WAITING
        return [(request, self.preempted_s.get(request, now_s)) for request in here]

    def hold(self, request: int) -> int:
        """A prompt is computed for another replica: return the blocks that it keeps, to be given back later."""
        own = self.blocks.of(self._computed.pop(request))
        del self._running[request]
        return own
