"""Step times between exact ones: computed on demand at knots, straight lines between these, the error measured.

A pure decode is a table over sequences and mean context. A step with prompts is the time of its tokens as prompts, over
tokens and keys per query, plus what its decodes add beside prompts, over sequences, mean context and (coarsely) tokens.
On one stream that sum is exact; where streams overlap it is not, which the measured error includes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from statistics import median

from simulator.serving.knots import Between, half_octaves, octaves, token_knots
from simulator.serving.step_times import DecodeLine, StepBatch, StepTimes

_LEAST_CONTEXT = 256  # tokens: below, one straight line
_LEAST_KEYS = 64
_TOKENS_PER_KNOT = 2  # octaves of prompt tokens between two knots of what decodes add


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
        self._sample: list[StepBatch] = []
        self._sample_size = sample
        self._n_asked = 0
        self._random = Random(seed)

    def seconds(self, batch: StepBatch) -> float:
        """Return the interpolated seconds of one step [s]."""
        self._n_asked += 1
        if len(self._sample) < self._sample_size:
            self._sample.append(batch)
        elif self._random.random() * self._n_asked < self._sample_size:
            self._sample[self._random.randrange(self._sample_size)] = batch
        return self._seconds(batch)

    def _seconds(self, batch: StepBatch) -> float:
        n, context = batch.n_decode, batch.decode_context_tokens
        if not batch.prefills:
            line = self._line(n, context)
            return line.at_s + line.s_per_token * (context - line.from_tokens)
        tokens = batch.prefill_tokens
        prompts_s = self._prompts_s(n * self._queries + tokens, batch.prefill_pairs)
        return prompts_s + self._added_s(n, context, tokens) if n else prompts_s

    def decode_line(self, n_decode: int, decode_context_tokens: int, longest_decode_tokens: int = 0) -> DecodeLine:
        """Return the line on which a decode step of that batch size and context lies, however long the longest."""
        del longest_decode_tokens
        self._n_asked += 1
        if self._random.random() * self._n_asked < self._sample_size:
            batch = StepBatch(n_decode=n_decode, decode_context_tokens=decode_context_tokens)
            if len(self._sample) < self._sample_size:
                self._sample.append(batch)
            else:
                self._sample[self._random.randrange(self._sample_size)] = batch
        return self._line(n_decode, decode_context_tokens)

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

    def _added_s(self, n: int, context: int, tokens: int) -> float:
        """Seconds that decodes add to a step with prompts, beyond those of their tokens as prompts."""
        around, mean = half_octaves(n), octaves(context / n, least=_LEAST_CONTEXT)
        size = (
            octaves(tokens / self._n_groups, least=4, per_octave=2)
            if tokens > 4 * self._n_groups
            else Between(0, 4, 1.0)
        )

        def beside(prompt: int) -> float:
            return _between(around, lambda knot: _between(mean, lambda c: self._added_knot(knot, c, prompt)))

        return _between(size, beside)

    def _added_knot(self, n: int, mean_context: int, tokens_per_group: int) -> float:
        key = (n, mean_context, tokens_per_group)
        added = self._added.get(key)
        if added is None:
            tokens = tokens_per_group * self._n_groups
            each = min(tokens, 1024)
            n_prompts = tokens // each
            prefills = ((each, 0),) * (n_prompts - 1) + ((tokens - each * (n_prompts - 1), 0),)
            batch = StepBatch(n_decode=n, decode_context_tokens=n * mean_context, prefills=prefills)
            as_prompts_s = self._prompts_s(n * self._queries + tokens, batch.prefill_pairs)
            added = self._added[key] = self._exact.seconds(batch) - as_prompts_s
        return added

    def error(self) -> InterpolationError:
        """Compute a random sample of the steps asked for exactly, and return how far off they were."""
        ratios = [abs(self._seconds(batch) / self._exact.seconds(batch) - 1.0) for batch in self._sample]
        return InterpolationError(
            n_steps=len(ratios), median=median(ratios) if ratios else 0.0, worst=max(ratios, default=0.0)
        )


def _between(place: Between, at: Callable[[int], float]) -> float:
    """Return the value on the straight line between two knots; one that weighs nothing is not computed."""
    if place.weight <= 0.0:
        return at(place.low)
    if place.weight >= 1.0:
        return at(place.high)
    low = at(place.low)
    return low + place.weight * (at(place.high) - low)
