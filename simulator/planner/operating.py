"""What one replica takes: the most requests per second at which it meets the targets, in means.

Decode. A replica that holds n sequences answers n · accepted / (step(n) · decoded tokens) requests per second, and each
has TPOT = step(n) / accepted. The number in it varies as a Poisson number does: the target holds at n + z √n, z the
normal quantile of its percentile, and that many have room in the KV cache.

Prompts. m of them in one step take prompt_s(m); what comes meanwhile is the next step's: m = rate · prompt_s(m). A
prompt waits for the rest of the step under way, then for its own; beyond a full step, as in a queue with fixed service
(Kingman: gaps of coefficient of variation c make c² / 2 · s / (1 - load), exponential).

Together, prompts go first and decodes wait: TPOT = step(n) / accepted / (1 - share of the time for prompts).

Step times are asked for at knots only, with straight lines between: simulated ones, or lower bounds of them, which then
give an upper bound of the rate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import inf, log, sqrt
from statistics import NormalDist
from typing import NamedTuple

from simulator.planner.load import Load
from simulator.planner.replica_limits import Limits
from simulator.planner.solving import around, bisect, largest, mean_below
from simulator.planner.space import Family
from simulator.serving.step_times import GroupBatch, StepBatch, StepTimes

STABLE = 0.95  # share of its capacity that a pool is asked for at most: beyond, no queue has a length to speak of
_CLOSE = 1e-4  # relative: where bisection ends
_ROUGH = 1.03  # of a step's time: tiles of rows make sequences per second rise unevenly


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What a replica has to keep: TTFT and TPOT [s] (inf: nothing) at their quantiles (shares); `gaps_cv` of the
    arrivals."""

    ttft_s: float
    ttft_quantile: float
    tpot_s: float
    tpot_quantile: float
    gaps_cv: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Point:
    """A replica at its limit. `rate_per_s` of requests; `sequences`: mean per attention group, `most_sequences` at
    once; `prompts_per_step` of the replica; `tpot_s` mean, `ttft_s` at its quantile (of a pool for one of the two:
    NaN for the other); `limited_by`: what stands against more."""

    family: Family
    rate_per_s: float
    sequences: float
    most_sequences: int
    prompts_per_step: float
    tpot_s: float
    ttft_s: float
    limited_by: str


class PromptLine(NamedTuple):
    """Seconds of a step with `low` to `high` prompts: `at_s` at `low`, `s_per_prompt` more for each."""

    low: float
    high: float
    at_s: float
    s_per_prompt: float


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a replica serves nothing: `target` that is missed ("tpot", "ttft", "memory"), and what it comes to at best
    (seconds, or bytes), against `allowed`."""

    family: Family
    target: str
    reaches: float
    allowed: float


class Replica:
    """One replica of a family under a load; `slower` multiplies its step times."""

    def __init__(
        self, family: Family, limits: Limits, load: Load, times: StepTimes, *, accepted: float, slower: float = 1.0,
        first: int = 1,
    ) -> None:  # fmt: skip
        """`first`: sequences per attention group at which the search for its limit begins."""
        self.family, self._first = family, first
        self._limits, self._load, self._times = limits, load, times
        self._accepted, self._slower = accepted, slower
        self._steps_s: dict[int, float] = {}
        self._prompt_knots_s: dict[int, float] = {}

    def step_s(self, sequences: float) -> float:
        """Return the seconds of a decode step with that many sequences per attention group [s]."""
        if sequences <= 1.0:
            return self._knot_s(1)
        low, high = around(sequences)
        at = (sequences - low) / (high - low)
        return self._knot_s(low) + (at * (self._knot_s(high) - self._knot_s(low)) if at else 0.0)

    def _knot_s(self, sequences: int) -> float:
        known = self._steps_s.get(sequences)
        if known is None:
            n = sequences * self.family.n_groups
            batch = StepBatch(n_decode=n, decode_context_tokens=round(n * self._load.context_tokens))
            known = self._steps_s[sequences] = self._times.seconds(batch) * self._slower
        return known

    @cached_property
    def most_prompts(self) -> int:
        """Prompts that a full step takes."""
        each = max(1, int(self.family.prefill_tokens / max(self._load.new_tokens, 1.0)))
        return self.family.n_groups * each

    @cached_property
    def _prompt_lines(self) -> Sequence[PromptLine]:
        """A straight line from one prompt to a full step."""
        knots = sorted({1, self.most_prompts})
        seconds = [self._prompts_s(knot) for knot in knots]
        if len(knots) == 1:
            return [PromptLine(1.0, 1.0, seconds[0], 0.0)]
        return [
            PromptLine(float(low), float(high), low_s, (high_s - low_s) / (high - low))
            for (low, low_s), (high, high_s) in pairwise(zip(knots, seconds, strict=True))
        ]

    def prompt_s(self, prompts: float) -> float:
        """Return the seconds in which that many prompts are computed at once [s]; one that is longer than a step takes
        several."""
        line = next((line for line in self._prompt_lines if prompts <= line.high), self._prompt_lines[-1])
        return line.at_s + max(0.0, prompts - line.low) * line.s_per_prompt

    def _prompts_s(self, prompts: int) -> float:
        known = self._prompt_knots_s.get(prompts)
        if known is None:
            known = self._prompt_knots_s[prompts] = self._prompts_at_once_s(prompts)
        return known

    def _prompts_at_once_s(self, prompts: int) -> float:
        new, groups = max(1.0, self._load.new_tokens), self.family.n_groups
        steps = max(1.0, new / self.family.prefill_tokens)
        chunk = (round(new / steps), round(self._load.cached_tokens + (new - new / steps) / 2.0))
        fullest = GroupBatch(0, 0, (chunk,)) if prompts < groups else None
        batch = StepBatch(n_decode=0, decode_context_tokens=0, prefills=(chunk,) * prompts, fullest=fullest)
        return steps * self._times.seconds(batch) * self._slower

    def _in_a_step(self, rate: float, beside_s: float) -> float:
        """Prompts of a step, the fixed point m = rate · (beside_s + prompt_s(m)): at least 1, at most a full step."""
        for line in self._prompt_lines:
            slope, none_s = rate * line.s_per_prompt, line.at_s - line.low * line.s_per_prompt
            if slope < 1.0 and (m := rate * (beside_s + none_s) / (1.0 - slope)) <= line.high:
                return max(m, line.low)
        return float(self.most_prompts)

    def may_beat(self, rate: float, promise: Promise) -> bool:
        """Return whether more requests per second than `rate` are in reach, by one step's time: with so many sequences
        that they would be answered at the TPOT allowed, or with full steps of prompts."""
        if self.family.role != "decode" and STABLE * self.most_prompts / self._prompts_s(self.most_prompts) <= rate:
            return False
        if self.family.role == "prefill":
            return True
        needed = rate * promise.tpot_s * self._load.decoded_tokens / self.family.n_groups
        if not 1.0 <= needed < inf:
            return True
        return self._decode_tpot_s(float(around(needed)[0])) <= promise.tpot_s * _ROUGH

    def point(self, promise: Promise) -> Point | Refusal:
        """Return the point of its family's role."""
        roles = {"prefill": self.prefill_point, "decode": self.decode_point, "together": self.together_point}
        return roles[self.family.role](promise)

    def decode_point(self, promise: Promise) -> Point | Refusal:
        """Return the point of a replica that only answers."""
        return self._point(promise, self._decode_tpot_s, inf)

    def _decode_tpot_s(self, sequences: float) -> float:
        return self.step_s(sequences) / self._accepted

    def together_point(self, promise: Promise) -> Point | Refusal:
        """Return the point of a replica that computes prompts and answers them."""
        most = bisect(lambda rate: self._together_ttft_s(rate, promise) <= promise.ttft_s, self._most_rate())
        if most is None:
            return self._too_slow_for("ttft", self._together_ttft_s(0.0, promise), promise.ttft_s)
        return self._point(promise, self._together_tpot_s, most)

    def _point(self, promise: Promise, tpot_s: Callable[[float], float], most_rate: float) -> Point | Refusal:
        """The point with most sequences that keeps the TPOT, has room, and answers no more than `most_rate`."""
        room = self._limits.most_sequences
        if room < 1:
            return self._too_slow_for("memory", self._limits.needed_bytes, self._limits.allowed_bytes)
        high = largest(lambda n: tpot_s(float(n)) <= promise.tpot_s, room, self._first)
        if high < 1:
            return self._too_slow_for("tpot", tpot_s(1.0), promise.tpot_s)
        groups, z = self.family.n_groups, NormalDist().inv_cdf(promise.tpot_quantile)
        mean = max(mean_below(high * groups, z), 0.5) / groups
        limited_by = "memory" if high == room else "tpot"
        if self._rate(mean, tpot_s) > most_rate:
            found = bisect(lambda n: self._rate(n, tpot_s) <= most_rate, mean)
            mean, limited_by = found or mean, "ttft"
        rate = self._rate(mean, tpot_s)
        is_together = most_rate < inf
        return Point(
            family=self.family, rate_per_s=rate, sequences=mean, most_sequences=high, limited_by=limited_by,
            prompts_per_step=self._beside(rate, mean) if is_together else 0.0, tpot_s=tpot_s(mean),
            ttft_s=self._together_ttft_s(rate, promise) if is_together else float("nan"),
        )  # fmt: skip

    def _rate(self, sequences: float, tpot_s: Callable[[float], float]) -> float:
        return sequences * self.family.n_groups / (tpot_s(sequences) * self._load.decoded_tokens)

    def _together_tpot_s(self, sequences: float) -> float:
        """TPOT where n sequences, turned over at their own rate, bring their own prompts: n / (decoded · TPOT) · time
        of a prompt is the share that decode waits."""
        n, alone_s, tpot_s = sequences * self.family.n_groups, self._decode_tpot_s(sequences), 0.0
        each_s = self.prompt_s(1.0)
        for _ in range(40):
            before, tpot_s = tpot_s, alone_s + n * each_s / self._load.decoded_tokens
            prompts = self._beside(n / (tpot_s * self._load.decoded_tokens), sequences)
            each_s = self.prompt_s(prompts) / max(prompts, 1.0)
            if abs(tpot_s - before) <= _CLOSE * tpot_s:
                break
        return tpot_s

    def _beside(self, rate: float, sequences: float) -> float:
        """Prompts that come during a decode step and the prompts' step after it."""
        step_s = self.step_s(sequences)
        return self._in_a_step(rate, step_s)

    def _together_ttft_s(self, rate: float, promise: Promise) -> float:
        return self._ttft_s(rate, promise, beside_s=self.step_s(1.0))

    def _most_rate(self) -> float:
        return STABLE * self.most_prompts / self.prompt_s(float(self.most_prompts))

    def prefill_point(self, promise: Promise) -> Point | Refusal:
        """Return the point of a replica that only computes prompts."""
        if self._limits.most_sequences < 1:
            return self._too_slow_for("memory", self._limits.needed_bytes, self._limits.allowed_bytes)
        rate = bisect(lambda r: self._ttft_s(r, promise) <= promise.ttft_s, self._most_rate())
        if rate is None:
            return self._too_slow_for("ttft", self._ttft_s(0.0, promise), promise.ttft_s)
        return Point(
            family=self.family, rate_per_s=rate, sequences=0.0, most_sequences=self._limits.most_sequences,
            prompts_per_step=self._in_a_step(rate, 0.0), tpot_s=float("nan"), ttft_s=self._ttft_s(rate, promise),
            limited_by="ttft" if rate < self._most_rate() * (1.0 - _CLOSE) else "prompts",
        )  # fmt: skip

    def _ttft_s(self, rate: float, promise: Promise, *, beside_s: float = 0.0) -> float:
        """TTFT at its quantile where prompts come at `rate` [s]."""
        full, quantile = self.most_prompts, promise.ttft_quantile
        m = self._in_a_step(rate, beside_s)
        burst = min(float(full), m + NormalDist().inv_cdf(quantile) * promise.gaps_cv * sqrt(m)) if full > 1 else 1.0
        own_s = self.prompt_s(max(burst, 1.0) if rate else 1.0)
        busy = min(1.0, rate * (beside_s + self.prompt_s(1.0))) if full > 1 else 0.0
        step_s = beside_s + (self.prompt_s(m) if rate else 0.0)
        rest_s = step_s * max(0.0, 1.0 - (1.0 - quantile) / busy) if busy else quantile * beside_s
        load = rate * self.prompt_s(float(full)) / full
        queue_s = 0.0
        if load > 1.0 - quantile:
            each_s = self.prompt_s(float(full)) / full
            queue_s = each_s * promise.gaps_cv**2 / 2.0 / max(1.0 - load, 1e-9) * log(load / (1.0 - quantile))
        return own_s + rest_s + queue_s

    def _too_slow_for(self, target: str, reaches: float, allowed: float) -> Refusal:
        return Refusal(family=self.family, target=target, reaches=reaches, allowed=allowed)
