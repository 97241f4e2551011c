"""Step times between exact ones: computed on demand at knots, straight lines between these, the error measured.

A pure decode is a table over sequences and mean context. A step with prompts is the time of its tokens as prompts, over
tokens and keys per query, plus what its decodes add beside prompts, over sequences, mean context and (coarsely) tokens.
Of several attention groups the fullest is what counts: with prompts, the others' share of its tokens is one more
dimension; a decode is one in which every group holds as much, less what is spared since the others hold a share of it.
On one stream that sum is exact; where streams overlap it is not, which the measured error includes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from random import Random
from statistics import median

from simulator.serving.knots import Between, half_octaves, octaves, token_knots
from simulator.serving.step_times import DecodeLine, GroupBatch, StepBatch, StepTimes

_LEAST_CONTEXT = 256  # tokens: below, one straight line
_LEAST_KEYS = 64
_LEAST_GROUP_CONTEXT = 1024
_WHOLE = 32  # shares of the fullest group that the others have are counted in 32nds
_SHARES = (0, 1, 2, 4, 8, 16, 24, _WHOLE)


@dataclass(frozen=True, kw_only=True)
class InterpolationError:
    """Interpolated against exact seconds of a sample of the steps asked for: |ratio − 1|, `n_steps` of them."""

    n_steps: int
    median: float
    worst: float


class InterpolatedStepTimes:
    """Step times of a replica of `n_groups` attention groups, exact at knots."""

    def __init__(
        self,
        exact: StepTimes,
        *,
        n_groups: int = 1,
        queries: int = 1,
        seed: int = 0,
        sample: int = 24,
        coarse: bool = False,
    ) -> None:
        """`queries`: tokens of a decoding sequence in a step, drafts included; `sample`: steps to judge it by;
        `coarse`: a knot to each doubling of tokens instead of both ends of each tile of rows, and beside prompts
        decodes add what their contexts add to a decode step."""
        self._exact = exact
        self._n_groups = n_groups
        self._coarse = coarse
        self._token_knots = _octaves if coarse else token_knots
        self._queries = queries
        self._lines: dict[tuple[int, int], DecodeLine] = {}
        self._prompt_knots: dict[tuple[int, int], tuple[float, float]] = {}
        self._added: dict[tuple[int, int, int, int, int], float] = {}
        self._spared: dict[tuple[int, int, int], float] = {}
        self._sample: list[StepBatch] = []
        self._sample_size = sample
        self._n_asked = 0
        self._random = Random(seed)

    def seconds(self, batch: StepBatch) -> float:
        """Return the interpolated seconds of one step [s]."""
        self._n_asked += 1
        if self._is_sampled():
            self._keep(batch)
        return self._seconds(batch)

    def decode_line(
        self, n_decode: int, decode_context_tokens: int, longest_decode_tokens: int = 0,
        fullest: GroupBatch | None = None,
    ) -> DecodeLine:  # fmt: skip
        """Return the line on which a decode step of that batch size and context lies, however long the longest."""
        del longest_decode_tokens
        self._n_asked += 1
        if self._is_sampled():
            self._keep(StepBatch(n_decode=n_decode, decode_context_tokens=decode_context_tokens, fullest=fullest))
        if fullest is None:
            return self._line(n_decode, decode_context_tokens)
        return self._line_of_fullest(n_decode, decode_context_tokens, fullest)

    def _is_sampled(self) -> bool:
        """Whether this step is one of those to judge by: each that was asked for is as likely as any other."""
        return len(self._sample) < self._sample_size or self._random.random() * self._n_asked < self._sample_size

    def _keep(self, batch: StepBatch) -> None:
        if len(self._sample) < self._sample_size:
            self._sample.append(batch)
        else:
            self._sample[self._random.randrange(self._sample_size)] = batch

    def _seconds(self, batch: StepBatch) -> float:
        n, context = batch.n_decode, batch.decode_context_tokens
        if not batch.prefills:
            line = self._line_of_fullest(n, context, batch.fullest) if batch.fullest else self._line(n, context)
            return line.at_s + line.s_per_token * (context - line.from_tokens)
        prompts_s, most = self._as_prompts_s(batch)
        if not n:
            return prompts_s
        return prompts_s + (self._reads_s(n, context) if self._coarse else self._added_s(batch, most))

    def _as_prompts_s(self, batch: StepBatch) -> tuple[float, int]:
        """Seconds of a step whose decodes are counted as tokens of prompts, and new tokens of the fullest group."""
        groups, queries, fullest = self._n_groups, self._queries, batch.fullest
        tokens = batch.prefill_tokens + batch.n_decode * queries
        if groups == 1:
            return self._prompts_s(tokens, batch.prefill_pairs), batch.prefill_tokens
        if fullest is None:
            return self._busiest_s(tokens / groups, batch.prefill_pairs / groups, 1.0), batch.prefill_tokens // groups
        most = fullest.prefill_tokens + fullest.n_decode * queries
        pairs = sum(new * context + new * (new + 1) / 2.0 for new, context in fullest.prefills)
        return self._busiest_s(most, pairs, (tokens - most) / (groups - 1) / most), fullest.prefill_tokens

    def _line_of_fullest(self, n: int, context: int, fullest: GroupBatch) -> DecodeLine:
        """The line of a step in which the fullest group holds `fullest` of `n` sequences and `context` tokens: that of
        a step in which every group holds as much, less what goes faster since the others have fewer."""
        groups, own, own_context = self._n_groups, fullest.n_decode, fullest.context_tokens
        even = self._line(own * groups, own_context * groups)
        even_s = even.at_s + even.s_per_token * (own_context * groups - even.from_tokens)
        share = (n - own) / ((groups - 1) * own)
        per_token = own * groups / n  # the fullest group's tokens grow with its sequences, all groups' with all
        return DecodeLine(
            from_tokens=context,
            until_tokens=context + (even.until_tokens - own_context * groups) / per_token,
            at_s=even_s - self._spared_s(own, own_context, share),
            s_per_token=even.s_per_token * per_token,
        )

    def _spared_s(self, own: int, own_context: int, share: float) -> float:
        """Seconds that a step of decodes takes less since the other groups have a `share` of the fullest's."""
        size, mean, rest = (
            half_octaves(own),
            octaves(own_context / own, least=_LEAST_GROUP_CONTEXT),
            _share_knots(share),
        )

        def of(knot: int) -> float:
            return _between(mean, lambda c: _between(rest, lambda parts: self._spared_knot(knot, c, parts)))

        return _between(size, of)

    def _spared_knot(self, own: int, mean_context: int, parts: int) -> float:
        if parts == _WHOLE:
            return 0.0
        key = (own, mean_context, parts)
        known = self._spared.get(key)
        if known is None:
            n = own + round(own * (self._n_groups - 1) * parts / _WHOLE)
            batch = StepBatch(n_decode=n, decode_context_tokens=n * mean_context,
                              fullest=GroupBatch(own, own * mean_context, ()))  # fmt: skip
            known = self._spared[key] = self._decodes_s(own * self._n_groups, mean_context) - self._exact.seconds(batch)
        return known

    def _line(self, n: int, context: int) -> DecodeLine:
        cell = int(context / n / _LEAST_CONTEXT).bit_length()  # octaves of the mean context
        line = self._lines.get((n, cell))
        if line is None:
            low = _LEAST_CONTEXT << (cell - 1) if cell else 0
            high = _LEAST_CONTEXT << cell
            from_s, until_s = self._decodes_s(n, low), self._decodes_s(n, high)
            line = DecodeLine(
                from_tokens=n * low,
                until_tokens=n * high,
                at_s=from_s,
                s_per_token=(until_s - from_s) / (n * (high - low)),
            )
            self._lines[n, cell] = line
        return line

    def _decodes_s(self, n: int, mean_context: int) -> float:
        def exact_s(knot: int) -> float:
            return self._exact.seconds(StepBatch(n_decode=knot, decode_context_tokens=knot * mean_context))

        return _between(self._token_knots(n, max(1, self._n_groups // self._queries)), exact_s)

    def _prompts_s(self, tokens: int, pairs: float) -> float:
        """Seconds of a step of prompts alone, of that many tokens with that many (query, key) pairs."""
        keys = octaves(pairs / tokens, least=_LEAST_KEYS)

        def at_s(knot: int) -> float:
            (low_pairs, low_s), (high_pairs, high_s) = (self._prompt_knot(knot, k) for k in (keys.low, keys.high))
            slope = (high_s - low_s) / (high_pairs - low_pairs) if high_pairs > low_pairs else 0.0
            return low_s + slope * (pairs * knot / tokens - low_pairs)

        return _between(self._token_knots(tokens, self._n_groups), at_s)

    def _prompt_knot(self, tokens: int, keys: int) -> tuple[float, float]:
        """(query, key) pairs and exact seconds of prompts of `tokens` in all with about `keys` keys per query."""
        knot = self._prompt_knots.get((tokens, keys))
        if knot is None:
            n_prompts = max(1, min(tokens, round(tokens / max(2 * keys, 1)))) if keys else tokens
            each, longer = divmod(tokens, n_prompts)
            context = max(0, round(keys - (tokens + 1) / 2)) if n_prompts == 1 else 0
            prefills = ((each + 1, context),) * longer + ((each, context),) * (n_prompts - longer)
            batch = StepBatch(n_decode=0, decode_context_tokens=0, prefills=prefills)
            knot = self._prompt_knots[tokens, keys] = (batch.prefill_pairs, self._exact.seconds(batch))
        return knot

    def _busiest_s(self, tokens: float, pairs: float, rest: float) -> float:
        """Seconds of a step of prompts alone in which the busiest group has `tokens` with that many (query, key)
        pairs, and the others `rest` of its tokens each."""
        context = pairs / tokens - (tokens + 1) / 2.0
        around, share = octaves(max(context, 0.0), least=_LEAST_GROUP_CONTEXT), _share_knots(rest)

        def at_s(knot: int) -> float:
            def beside(context_knot: int) -> float:
                return _between(share, lambda parts: self._busiest_knot(knot, context_knot, parts))

            if context >= 0.0:
                return _between(around, beside)
            none_s = beside(0)  # several prompts have fewer keys than one of their length
            return none_s + (beside(around.high) - none_s) * context / around.high

        return _between(self._token_knots(ceil(tokens), 1), at_s)

    def _busiest_knot(self, tokens: int, context: int, parts: int) -> float:
        others = ((tokens * parts // _WHOLE, 0),) * (self._n_groups - 1) if tokens * parts >= _WHOLE else ()
        own = ((tokens, context),)
        return self._exact.seconds(StepBatch(
            n_decode=0, decode_context_tokens=0, prefills=(*own, *others), fullest=GroupBatch(0, 0, own)
        ))  # fmt: skip

    def _reads_s(self, n: int, context: int) -> float:
        """Seconds that the contexts of decodes add to a step of them without any."""
        line, none = self._line(n, context), self._line(n, 0)
        return line.at_s + line.s_per_token * (context - line.from_tokens) - none.at_s

    def _added_s(self, batch: StepBatch, most: int) -> float:
        """Seconds that decodes add to a step with prompts, `most` tokens in the fullest group, beyond those of their
        tokens as prompts."""
        n = batch.n_decode
        around, mean = half_octaves(n), octaves(batch.decode_context_tokens / n, least=_LEAST_CONTEXT)
        per_octave = 2 if self._n_groups == 1 else 1
        size = octaves(most, least=4, per_octave=per_octave) if most > 4 else Between(0, 4, 1.0)
        own = 1 if batch.fullest and batch.fullest.n_decode else 0
        alike = Between(0, 1, min(1.0, (batch.prefill_tokens / most - 1) / (self._n_groups - 1))
                        if batch.fullest else 1.0)  # fmt: skip

        def beside(prompt: int) -> float:
            return _between(around, lambda knot: _between(mean, lambda c: _between(
                alike, lambda all_groups: self._added_knot(knot, c, prompt, all_groups, own))))  # fmt: skip

        return _between(size, beside)

    def _added_knot(self, n: int, mean_context: int, most: int, all_groups: int, has_decodes: int) -> float:
        """`all_groups`: 1 where each has a prompt of `most` tokens, 0 where only the fullest has, which `has_decodes`
        of its own or none."""
        key = (n, mean_context, most, all_groups, has_decodes)
        added = self._added.get(key)
        if added is None:
            prefills = ((most, 0),) * (self._n_groups if all_groups else 1)
            own = has_decodes * max(1, round(n / self._n_groups))
            fullest = None if all_groups else GroupBatch(own, own * mean_context, prefills)
            batch = StepBatch(n_decode=n, decode_context_tokens=n * mean_context, prefills=prefills, fullest=fullest)
            added = self._added[key] = self._exact.seconds(batch) - self._as_prompts_s(batch)[0]
        return added

    def error(self) -> InterpolationError:
        """Compute a random sample of the steps asked for exactly, and return how far off they were."""
        ratios = [abs(self._seconds(batch) / self._exact.seconds(batch) - 1.0) for batch in self._sample]
        return InterpolationError(
            n_steps=len(ratios), median=median(ratios) if ratios else 0.0, worst=max(ratios, default=0.0)
        )


def _octaves(tokens: int, n_groups: int) -> Between:
    """Knots around a number of tokens, however many groups share them."""
    del n_groups
    return octaves(tokens)


def _share_knots(share: float) -> Between:
    """Return the knots around a share of the fullest group's tokens, in 32nds."""
    parts = min(_WHOLE * share, _WHOLE)
    low, high = next(pair for pair in pairwise(_SHARES) if parts <= pair[1])
    return Between(low, high, (parts - low) / (high - low))


def _between(place: Between, at: Callable[[int], float]) -> float:
    """Return the value on the straight line between two knots; one that weighs nothing is not computed."""
    if place.weight <= 0.0:
        return at(place.low)
    if place.weight >= 1.0:
        return at(place.high)
    low = at(place.low)
    return low + place.weight * (at(place.high) - low)
