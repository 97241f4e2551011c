"""Room that admission keeps free for the tokens that running sequences have still to come, as SGLang estimates them.

Source: SGLang 0.5.6, srt/managers/scheduler.py (new_token_ratio), schedule_policy.py (PrefillAdder) and
schedule_batch.py (retract_decode). A request's largest answer is taken to be the answer that it gets.
"""

from heapq import heappop, heappush

from simulator.serving.blocks import Blocks
from simulator.serving.growth import Growth
from simulator.serving.knobs import BackendKnobs
from simulator.serving.ledger import Ledger


class _StillToCome:
    """Tokens that sequences have still to come, all together: each falls evenly from step to step."""

    def __init__(self) -> None:
        self.n = 0
        self._at_step_0 = self._per_step = 0.0

    def add(self, growth: Growth, sign: int = 1) -> None:
        """Count a sequence, or with `sign` -1 stop counting it."""
        self.n += sign
        per_step = growth.tokens / growth.n_steps
        self._per_step += sign * per_step
        self._at_step_0 += sign * (growth.tokens + per_step * growth.from_step)
        if not self.n:  # nothing is left of rounding either
            self._at_step_0 = self._per_step = 0.0

    def at(self, step: int) -> float:
        """Return the tokens still to come before decode step `step`."""
        return self._at_step_0 - self._per_step * step


class OutputReserve:
    """What the admission of one scheduler keeps free: `watermark` of the blocks, or room for a share of the tokens that
    its decodes have still to come, of each at most `reserved_output_cap`.

    The share falls evenly with every decode step, from `reserved_output_share` to `reserved_share_floor` of that within
    `reserve_decay_steps`. Preemption sets it anew, to what the sequences left have been answered with so far; an idle
    replica starts over.
    """

    def __init__(self, knobs: BackendKnobs, ledger: Ledger, blocks: Blocks) -> None:
        self._knobs = knobs
        self._ledger = ledger
        self._spare_blocks = int(knobs.watermark * blocks.total)
        self._least = knobs.reserved_output_share * knobs.reserved_share_floor
        self._decay = (knobs.reserved_output_share - self._least) / knobs.reserve_decay_steps
        self._share, self._since = knobs.reserved_output_share, 0
        self._all, self._long = _StillToCome(), _StillToCome()
        self._n_answer_tokens = 0
        self._shortening: list[tuple[int, Growth]] = []  # (step from which the cap no longer binds, sequence)
        self._left: dict[Growth, int] = {}  # long sequences that left early, with their number

    def left(self, request: int) -> int:
        """Return the tokens that a request not yet decoding is reckoned to have still to come."""
        left = self._ledger.output_tokens[request] - self._ledger.emitted[request]
        return min(left, self._knobs.reserved_output_cap)

    def kept_blocks(self, step: int, starting_tokens: int) -> float:
        """Return the blocks that admission before decode step `step` leaves free. `starting_tokens`: still to come of
        requests whose prompts are complete after it; no share is taken of these."""
        if not self._knobs.reserved_output_share:
            return self._spare_blocks
        return max(self._spare_blocks, (self.tokens(step) + starting_tokens) / self._knobs.block_tokens)

    def share(self, step: int) -> float:
        """Return the share of the tokens still to come that is kept free before decode step `step`."""
        fallen = self._decay * max(0, step - self._since)
        return max(self._share - fallen, min(self._share, self._least))

    def join(self, request: int, growth: Growth) -> None:
        """A request decodes from now on."""
        self._n_answer_tokens += self._ledger.output_tokens[request]
        self._all.add(growth)
        if growth.tokens > self._knobs.reserved_output_cap:
            self._long.add(growth)
            heappush(self._shortening, (self._cap_ends(growth), growth))

    def leave(self, request: int, growth: Growth, step: int) -> None:
        """A request stops decoding before decode step `step`."""
        self._n_answer_tokens -= self._ledger.output_tokens[request]
        self._all.add(growth, -1)
        self._shorten(step)
        if growth.tokens > self._knobs.reserved_output_cap and self._cap_ends(growth) > step:
            self._long.add(growth, -1)
            self._left[growth] = self._left.get(growth, 0) + 1

    def tokens(self, step: int) -> float:
        """Return the tokens to keep free before decode step `step`."""
        self._shorten(step)
        beyond_cap = self._long.at(step) - self._long.n * self._knobs.reserved_output_cap
        return self.share(step) * (self._all.at(step) - beyond_cap)

    def preempted(self, step: int) -> None:
        """Set the share anew after preemption before decode step `step`: to what is out of the answers of those left,
        `reserve_ahead_steps` more tokens each."""
        answered = self._n_answer_tokens - self._all.at(step) + self._all.n * self._knobs.reserve_ahead_steps
        self._share, self._since = min(1.0, answered / (self._n_answer_tokens + 1)), step + 1

    def restart(self, step: int) -> None:
        """Nothing runs before decode step `step`."""
        self._share, self._since = self._knobs.reserved_output_share, step

    def _cap_ends(self, growth: Growth) -> int:
        beyond = growth.tokens - self._knobs.reserved_output_cap
        return growth.from_step - (-beyond * growth.n_steps // growth.tokens)

    def _shorten(self, step: int) -> None:
        while self._shortening and self._shortening[0][0] <= step:
            growth = heappop(self._shortening)[1]
            if early := self._left.get(growth, 0):
                self._left[growth] = early - 1
            else:
                self._long.add(growth, -1)
