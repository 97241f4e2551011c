"""Where families of one machine are tried: bounds, limits and simulated points, each computed once."""

from dataclasses import dataclass, replace
from math import inf

from simulator.demands import KnownCosts
from simulator.planner.bounds import StepBound
from simulator.planner.load import Load
from simulator.planner.operating import Point, Promise, Refusal, Replica
from simulator.planner.question import Question
from simulator.planner.replica_limits import Limits, knobs_of, limits_of
from simulator.planner.short_steps import ShortStepTimes
from simulator.planner.space import Family, Role, families, scenario_of, site_of
from simulator.scenario_schema import Scenario
from simulator.serving.knobs import BackendKnobs
from simulator.serving.step_times import StepBatch, StepTimes
from workloads.batch import accepted_tokens_per_step


def promise_of(question: Question) -> Promise:
    """Return what each replica has to keep."""
    targets = question.targets
    least = targets.goodput_share
    return Promise(
        ttft_s=targets.ttft_s or inf,
        ttft_quantile=max(targets.ttft_percentile / 100.0, least),
        tpot_s=targets.tpot_s or inf,
        tpot_quantile=max(targets.tpot_percentile / 100.0, least),
        gaps_cv=question.traffic.arrivals_cv,
    )


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How much work a search was: candidates seen, ruled out by memory, by bounds, by one step, and simulated."""

    n_candidates: int = 0
    n_without_room: int = 0
    n_bounded: int = 0
    n_challenged: int = 0
    n_simulated: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True)
class Times:
    """Step times of a replica: of steps with decodes, and of prompts alone; `few`: of prompts of one attention group,
    where these come from elsewhere."""

    decode: StepTimes
    prompts: StepTimes
    few: StepTimes | None = None

    def seconds(self, batch: StepBatch) -> float:
        """Return the seconds of one step [s]."""
        if batch.n_decode:
            return self.decode.seconds(batch)
        return (self.few if self.few and batch.fullest else self.prompts).seconds(batch)


class Workshop:
    """The families of one machine, as a question has them."""

    def __init__(self, question: Question, machine: str, load: Load, like: "Workshop | None" = None) -> None:
        """`like`: of a question with the same machine, model and routing, whose simulated steps are taken over."""
        self.question, self.machine, self.load = question, machine, load
        self.site: Scenario = like.site if like else site_of(question, machine)
        self._knobs: dict[tuple[int, int], BackendKnobs] = {}
        self._limits: dict[tuple[object, ...], Limits] = {}
        self._times: dict[Family, ShortStepTimes] = like._times if like else {}
        self.known_costs: KnownCosts = like.known_costs if like else KnownCosts()

    @property
    def usd_per_gpu_hour(self) -> float:
        """Price of a GPU, its power included where that is paid apart."""
        device, prices = self.site.profile.device, self.question.prices
        own = prices.usd_per_gpu_hour.get(self.machine, device.usd_per_hour)
        return own + prices.usd_per_kwh * device.power_w / 1e3

    def families(self, role: Role, most_gpus: int) -> list[Family]:
        """Return the families of a role on replicas of at most `most_gpus`."""
        return families(self.question, self.site, role, most_gpus)

    def scenario(self, family: Family) -> Scenario:
        """Return the scenario of one replica."""
        return scenario_of(self.question, self.site, family)

    def knobs(self, family: Family) -> BackendKnobs:
        """Return the scheduler of one replica."""
        key = (family.n_groups, family.prefill_tokens)
        if key not in self._knobs:
            self._knobs[key] = knobs_of(self.scenario(family), family, self.question.search.backend)
        return self._knobs[key]

    def limits(self, family: Family) -> Limits:
        """Return what an attention group of a family has room for."""
        key = (family.layout, family.precision, family.n_draft, family.prefill_tokens)
        if key not in self._limits:
            self._limits[key] = limits_of(
                self.scenario(family), self.knobs(family), self.load, self.question.search.max_sequences
            )
        return self._limits[key]

    def accepted(self, family: Family) -> float:
        """Return the tokens that a sequence gains per step."""
        return accepted_tokens_per_step(self.scenario(family).mtp)

    def times(self, family: Family) -> "Times":
        """Return the simulated step times of a family, remembered; steps of prompts alone are those of every family
        with that layout and schedule."""
        return Times(
            decode=self._simulated(family), prompts=self._simulated(replace(family, role="prefill", n_draft=0))
        )

    def _simulated(self, family: Family) -> ShortStepTimes:
        family = replace(family, role="prefill" if family.role == "prefill" else "decode", prefill_tokens=0)
        if family not in self._times:
            self._times[family] = ShortStepTimes(self.scenario(family), self.known_costs)
        return self._times[family]

    @property
    def n_steps(self) -> int:
        """Steps that were simulated so far."""
        return sum(times.n_simulated for times in self._times.values())

    def upper(self, family: Family, promise: Promise) -> Point | Refusal:
        """Return the point at which the replica would stand if every step took no longer than its lower bound."""
        return self._replica(family, StepBound(self.scenario(family))).point(promise)

    def upper_beside_prompts(self, family: Family, promise: Promise, *, full_steps: bool) -> Point | Refusal:
        """Return the same with the step of one prompt as simulated; `full_steps`: a full step of prompts too."""
        times, bound = self.times(family), StepBound(self.scenario(family))
        few = times.prompts
        times = replace(times, decode=bound, prompts=few if full_steps else Times(decode=bound, prompts=bound, few=few))
        return self._replica(family, times).point(promise)

    def replica(self, family: Family, *, first: int = 1, slower: float = 1.0) -> Replica:
        """Return the replica with simulated steps."""
        return self._replica(family, self.times(family), first=first, slower=slower)

    def _replica(self, family: Family, times: StepTimes, *, first: int = 1, slower: float = 1.0) -> Replica:
        return Replica(family, self.limits(family), self.load, times, accepted=self.accepted(family), slower=slower,
                       first=first)  # fmt: skip
