"""What it adds to steps that their tokens draw their experts: a step of expected loads is too fast, since each layer
waits for the rank that was drawn hottest, and experts fill their tiles of rows unevenly.

Seconds added, not a share: longer contexts make a step longer, but not its experts.
"""

from collections.abc import Callable, Sequence
from statistics import fmean, median, stdev
from typing import NamedTuple

from simulator.serving.interpolated_steps import InterpolationError
from simulator.serving.knots import Between, half_octaves, token_knots
from simulator.serving.step_times import StepBatch, StepTimes

_CONTEXT = 2048  # tokens of a decode at a knot
_PROMPT = 1024  # tokens of a prompt at a knot, or fewer
_JUDGED = 4  # sizes of each kind of step


class Added(NamedTuple):
    """Seconds that a step takes longer by the draw of its routing: mean, and standard deviation between steps."""

    mean_s: float
    spread_s: float


NOTHING = Added(0.0, 0.0)


class RoutingNoise:
    """Seconds added to the steps of a replica, by size: simulated at knots when asked for, straight lines between."""

    def __init__(
        self, mean: StepTimes, draws: Sequence[StepTimes], other: StepTimes, *, n_groups: int = 1, queries: int = 1
    ) -> None:
        """`mean`: steps of expected loads; `draws`: of independent draws, two at least; `other`: one more, to judge by.
        `queries`: tokens of a decoding sequence in a step."""
        self._mean = mean
        self._draws = draws
        self._other = other
        self._n_groups = n_groups
        self._queries = queries
        self._knots: dict[StepBatch, Added] = {}
        self._decodes: dict[int, Added] = {0: NOTHING}
        self._prompts: dict[int, Added] = {}

    @property
    def n_draws(self) -> int:
        """Draws of each size."""
        return len(self._draws)

    @property
    def n_simulated(self) -> int:
        """Sizes at which draws were simulated."""
        return len(self._knots)

    def decodes(self, n_decode: int) -> Added:
        """Return what is added to a step of decodes alone."""
        known = self._decodes.get(n_decode)
        if known is None:
            knots = token_knots(n_decode, max(1, self._n_groups // self._queries))
            known = self._decodes[n_decode] = self._between(knots, _decodes)
        return known

    def with_prompts(self, n_decode: int, prefill_tokens: int) -> Added:
        """Return what is added to a step with prompts, in which decodes count as their tokens."""
        tokens = prefill_tokens + n_decode * self._queries
        known = self._prompts.get(tokens)
        if known is None:
            known = self._prompts[tokens] = self._between(half_octaves(tokens), _prompts)
        return known

    def _between(self, place: Between, batch: Callable[[int], StepBatch]) -> Added:
        if place.weight <= 0.0:
            return self._knot(batch(place.low))
        low, high = self._knot(batch(place.low)), self._knot(batch(place.high))
        return Added(*(a + place.weight * (b - a) for a, b in zip(low, high, strict=True)))

    def _knot(self, batch: StepBatch) -> Added:
        known = self._knots.get(batch)
        if known is None:
            mean_s = self._mean.seconds(batch)
            drawn_s = [draw.seconds(batch) for draw in self._draws]
            known = self._knots[batch] = Added(fmean(drawn_s) - mean_s, stdev(drawn_s))
        return known

    def error(self) -> InterpolationError:
        """Return how far steps of expected loads with what is added are from steps of another draw, at some of the
        sizes asked for."""
        ratios = []
        for known, batch in ((self._decodes, _decodes), (self._prompts, _prompts)):
            for size in _some([size for size in known if size]):
                step = batch(size)
                ratios.append(abs((self._mean.seconds(step) + known[size].mean_s) / self._other.seconds(step) - 1.0))
        return InterpolationError(
            n_steps=len(ratios), median=median(ratios) if ratios else 0.0, worst=max(ratios, default=0.0)
        )


def _decodes(n_decode: int) -> StepBatch:
    return StepBatch(n_decode=n_decode, decode_context_tokens=n_decode * _CONTEXT)


def _prompts(tokens: int) -> StepBatch:
    whole, rest = divmod(tokens, _PROMPT)
    return StepBatch(
        n_decode=0, decode_context_tokens=0, prefills=((_PROMPT, 0),) * whole + (((rest, 0),) if rest else ())
    )


def _some(sizes: Sequence[int]) -> Sequence[int]:
    """Up to four of the sizes, in equal distances of their order."""
    ordered = sorted(sizes)
    if len(ordered) <= _JUDGED:
        return ordered
    return [ordered[round((i + 0.5) * len(ordered) / _JUDGED - 0.5)] for i in range(_JUDGED)]
