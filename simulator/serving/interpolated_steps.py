"""Step times between exact ones: computed on demand at knots, straight lines between these, the error measured.

A pure decode is a table over sequences and mean context. A step with prompts is the time of its tokens as prompts, over
tokens and keys per query, plus what its decodes add beside prompts, over sequences, mean context and (coarsely) tokens.
Of several attention groups the fullest is what counts: with prompts, the others' share of its tokens is one more
dimension; in a decode, what its cached tokens beyond the mean add is a table over their ratio.
On one stream that sum is exact; where streams overlap it is not, which the measured error includes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil
from random import Random
from statistics import median

from simulator.serving.knots import Between, half_octaves, octaves, token_knots
from simulator.serving.step_times import DecodeLine, GroupBatch, StepBatch, StepTimes

_LEAST_CONTEXT = 256  # tokens: below, one straight line
_LEAST_KEYS = 64
_LEAST_GROUP_CONTEXT = 1024
_RATIOS = (4, 5, 6, 8, 12, 16)  # quarters of the mean that the fullest group holds; beyond, doublings


@dataclass(frozen=True, kw_only=True)
class InterpolationError:
    """Interpolated against exact seconds of a sample of the steps asked for: |ratio − 1|, `n_steps` of them."""

    n_steps: int
    median: float
    worst: float


class InterpolatedStepTimes:
    """Step times of a replica of `n_groups` attention groups, exact at knots."""

    def __init__(
        self, exact: StepTimes, *, n_groups: int = 1, queries: int = 1, seed: int = 0, sample: int = 24
    ) -> None:
        """`queries`: tokens of a decoding sequence in a step, drafts included; `sample`: steps to judge it by."""
        self._exact = exact
        self._n_groups = n_groups
        self._queries = queries
        self._lines: dict[tuple[int, int], DecodeLine] = {}
        self._prompt_knots: dict[tuple[int, int], tuple[float, float]] = {}
        self._added: dict[tuple[int, int, int], float] = {}
        self._excess: dict[tuple[int, int, int], float] = {}
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
        """Return the line on which a decode step of that batch size and context lies, however long the longest.

        What a fullest group adds is taken as it is now: the groups grow alike along the line."""
        del longest_decode_tokens
        self._n_asked += 1
        if self._is_sampled():
            self._keep(StepBatch(n_decode=n_decode, decode_context_tokens=decode_context_tokens, fullest=fullest))
        line = self._line(n_decode, decode_context_tokens)
        if fullest is None:
            return line
        return replace(line, at_s=line.at_s + self._excess_s(n_decode, decode_context_tokens, fullest))

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
            line = self._line(n, context)
            even_s = line.at_s + line.s_per_token * (context - line.from_tokens)
            return even_s + (self._excess_s(n, context, batch.fullest) if batch.fullest else 0.0)
        prompts_s, most = self._as_prompts_s(batch)
        return prompts_s + self._added_s(n, context, most) if n else prompts_s

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

    def _excess_s(self, n: int, context: int, fullest: GroupBatch) -> float:
        """Seconds that the fullest group's cached tokens beyond the mean add to a step of decodes."""
        quarters = 4.0 * fullest.context_tokens * self._n_groups / max(context, 1)
        if quarters <= _RATIOS[0]:
            return 0.0
        ratio, size, mean = _ratio_knots(quarters), octaves(n), octaves(context / n, least=_LEAST_CONTEXT)

        def of(knot: int) -> float:
            return _between(mean, lambda c: _between(ratio, lambda r: self._excess_knot(knot, c, r)))

        return _between(size, of)

    def _excess_knot(self, n: int, mean_context: int, quarters: int) -> float:
        if quarters == _RATIOS[0] or not mean_context:
            return 0.0
        known = self._excess.get((n, mean_context, quarters))
        if known is None:
            context = n * mean_context
            fullest = GroupBatch(ceil(n / self._n_groups), min(context, quarters * context // (4 * self._n_groups)), ())
            even = StepBatch(n_decode=n, decode_context_tokens=context)
            known = self._exact.seconds(replace(even, fullest=fullest)) - self._exact.seconds(even)
            self._excess[n, mean_context, quarters] = known
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

        return _between(token_knots(n, max(1, self._n_groups // self._queries)), exact_s)

    def _prompts_s(self, tokens: int, pairs: float) -> float:
        """Seconds of a step of prompts alone, of that many tokens with that many (query, key) pairs."""
        keys = octaves(pairs / tokens, least=_LEAST_KEYS)

        def at_s(knot: int) -> float:
            (low_pairs, low_s), (high_pairs, high_s) = (self._prompt_knot(knot, k) for k in (keys.low, keys.high))
            slope = (high_s - low_s) / (high_pairs - low_pairs) if high_pairs > low_pairs else 0.0
            return low_s + slope * (pairs * knot / tokens - low_pairs)

        return _between(token_knots(tokens, self._n_groups), at_s)

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
                return _between(share, lambda eighths: self._busiest_knot(knot, context_knot, eighths))

            if context >= 0.0:
                return _between(around, beside)
            none_s = beside(0)  # several prompts have fewer keys than one of their length
            return none_s + (beside(around.high) - none_s) * context / around.high

        return _between(token_knots(ceil(tokens), 1), at_s)

    def _busiest_knot(self, tokens: int, context: int, eighths: int) -> float:
        others = ((tokens * eighths // 8, 0),) * (self._n_groups - 1) if tokens * eighths >= 8 else ()
        own = ((tokens, context),)
        return self._exact.seconds(StepBatch(
            n_decode=0, decode_context_tokens=0, prefills=(*own, *others), fullest=GroupBatch(0, 0, own)
        ))  # fmt: skip

    def _added_s(self, n: int, context: int, most: int) -> float:
        """Seconds that decodes add to a step with prompts, beyond those of their tokens as prompts."""
        around, mean = half_octaves(n), octaves(context / n, least=_LEAST_CONTEXT)
        per_octave = 2 if self._n_groups == 1 else 1
        size = octaves(most, least=4, per_octave=per_octave) if most > 4 else Between(0, 4, 1.0)

        def beside(prompt: int) -> float:
            return _between(around, lambda knot: _between(mean, lambda c: self._added_knot(knot, c, prompt)))

        return _between(size, beside)

    def _added_knot(self, n: int, mean_context: int, most: int) -> float:
        key = (n, mean_context, most)
        added = self._added.get(key)
        if added is None:
            prefills = ((most, 0),) * self._n_groups
            batch = StepBatch(n_decode=n, decode_context_tokens=n * mean_context, prefills=prefills)
            added = self._added[key] = self._exact.seconds(batch) - self._as_prompts_s(batch)[0]
        return added

    def error(self) -> InterpolationError:
        """Compute a random sample of the steps asked for exactly, and return how far off they were."""
        ratios = [abs(self._seconds(batch) / self._exact.seconds(batch) - 1.0) for batch in self._sample]
        return InterpolationError(
            n_steps=len(ratios), median=median(ratios) if ratios else 0.0, worst=max(ratios, default=0.0)
        )


def _share_knots(share: float) -> Between:
    """Return the knots around a share of the busiest group's tokens, in eighths: 0, 1, 3 and 8."""
    eighths = min(8.0 * share, 8.0)
    low, high = next(pair for pair in ((0, 1), (1, 3), (3, 8)) if eighths <= pair[1])
    return Between(low, high, (eighths - low) / (high - low))


def _ratio_knots(quarters: float) -> Between:
    """Return the knots around a ratio in quarters."""
    if quarters > _RATIOS[-1]:
        return octaves(quarters, least=_RATIOS[-1])
    low, high = next(pair for pair in pairwise(_RATIOS) if quarters <= pair[1])
    return Between(low, high, (quarters - low) / (high - low))


def _between(place: Between, at: Callable[[int], float]) -> float:
    """Return the value on the straight line between two knots; one that weighs nothing is not computed."""
    if place.weight <= 0.0:
        return at(place.low)
    if place.weight >= 1.0:
        return at(place.high)
    low = at(place.low)
    return low + place.weight * (at(place.high) - low)
