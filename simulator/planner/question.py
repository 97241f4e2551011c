"""What a plan is asked for: model, machines, traffic, targets, what may be chosen, prices, failures.

Every key has a default but `model`, `machines` and how much is wanted: GPUs, requests per second or users.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Literal

from simulator.failures import Failures as ReplayedFailures
from simulator.failures import Kind
from simulator.overrides import Overrides
from workloads.batch import ZeroPolicy
from workloads.layout import PlacementRule

Serving = Literal["together", "split"]
PrecisionWord = Literal["auto", "bf16", "fp8", "fp8_kv8", "fp4"]
HOUR_S = 3600.0
_REPLAYED = ReplayedFailures()


@dataclass(frozen=True, kw_only=True)
class Task:
    """A part of the traffic. `share` of the requests; `acceptance` of each draft given the one before; `ffn_experts`:
    mean FFN experts per token (0: the model's own)."""

    share: float
    acceptance: Sequence[float] = ()
    ffn_experts: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What is asked of the cluster. `requests_per_s`, or `users` who each ask again `think_s` after their answer; 0:
    as much as the GPUs take. `prompt`, `output`: laws of lengths; `trace`: a file of requests in their place.
    `arrivals_cv`: coefficient of variation of the gaps between requests (1: Poisson). `prefix_hit_share`: of prompt
    tokens, found in the cache. `acceptance`, `ffn_experts`: as a task's, where there are no `tasks`."""

    requests_per_s: float = 0.0
    users: int = 0
    think_s: float = 0.0
    prompt: str = "fixed:4000"
    output: str = "fixed:1000"
    trace: str = ""
    arrivals_cv: float = 1.0
    prefix_hit_share: float = 0.0
    acceptance: Sequence[float] = ()
    ffn_experts: float = 0.0
    tasks: Mapping[str, Task] = field(default_factory=dict)

    @cached_property
    def mean_acceptance(self) -> Sequence[float]:
        """Acceptance per draft of all requests together: a task without that draft accepts none."""
        if not self.tasks:
            return tuple(self.acceptance)
        depth = max(len(task.acceptance) for task in self.tasks.values())
        survive = [1.0, *(sum(t.share * _survival(t.acceptance, i) for t in self.tasks.values()) for i in range(depth))]
        return tuple(after / before if before else 0.0 for before, after in pairwise(survive))

    @cached_property
    def mean_ffn_experts(self) -> float:
        """FFN experts per token of all requests together (0: the model's own)."""
        if not self.tasks:
            return self.ffn_experts
        return sum(task.share * task.ffn_experts for task in self.tasks.values())


def _survival(acceptance: Sequence[float], draft: int) -> float:
    """Probability that all drafts up to this one are accepted."""
    if draft >= len(acceptance):
        return 0.0
    survive = 1.0
    for probability in acceptance[: draft + 1]:
        survive *= probability
    return survive


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What requests are promised: TTFT and TPOT at these percentiles [s] (0: nothing); `goodput_share` of the requests
    that meet both at once (0: nothing beyond the percentiles)."""

    ttft_s: float = 0.0
    ttft_percentile: float = 90.0
    tpot_s: float = 0.0
    tpot_percentile: float = 90.0
    goodput_share: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Search:
    """What may be chosen; an empty list stands for all that fit. `serving`: prompts and answers together on every
    replica, or split over pools of their own. `most_gpus`: where a rate is asked for and no counts are given.
    `prefill_tokens`: new prompt tokens of an attention group in one step. `n_draft`: drafts per step.
    `redundant_experts`: expert slots of an EP group beyond the routed experts; EP groups divide all slots, so that
    other sizes than the divisors of the experts need some, such as 32 for DeepSeek-V3's 256 on EP72.
    `max_sequences`: per attention group (0: as memory and targets allow). `backend`: preset of the scheduler.
    `confirmed`: how many plans are replayed request by request."""

    serving: Sequence[Serving] = ("together", "split")
    most_gpus: int = 512
    ep: Sequence[int] = ()
    attention_tp: Sequence[int] = ()
    dense_tp: Sequence[int] = ()
    tp_tokens: Sequence[Literal["scattered", "replicated"]] = ("scattered", "replicated")
    expert_placement: Sequence[PlacementRule] = ("contiguous",)
    redundant_experts: Sequence[int] = (0,)
    schedules: Sequence[str] = ()
    precisions: Sequence[PrecisionWord] = ("auto",)
    n_draft: Sequence[int] = ()
    prefill_tokens: Sequence[int] = (8192,)
    max_sequences: int = 0
    backend: str = "sglang"
    confirmed: int = 2


@dataclass(frozen=True, kw_only=True)
class Prices:
    """`usd_per_gpu_hour` by machine, in place of its own; `usd_per_kwh` of the GPUs' power, where that is not in it."""

    usd_per_gpu_hour: Mapping[str, float] = field(default_factory=dict)
    usd_per_kwh: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Failures:
    """What breaks, in the words and with the defaults of a scenario's [failures]. One dead GPU idles its failure
    `unit`: the whole "replica" (an EP group, or TP group), its "node" alone, or the "device" with its TP group, where
    the rest of an EP group goes on. A unit is back after `detection_s`, `repair_s`, `restart_s` and the load of its
    weights at `load_bytes_per_s` per GPU. `availability_target`: probability that all that the load needs is up (0: no
    spares). `mtbf_hours` by kind; NICs count where `nic_failover` is false."""

    availability_target: float = _REPLAYED.availability_target
    unit: Literal["replica", "node", "device"] = "replica"
    mtbf_hours: Mapping[Kind, float] = field(default_factory=lambda: {"device": 50_000.0})
    detection_s: float = _REPLAYED.detection_s
    repair_s: float = _REPLAYED.repair_s
    restart_s: float = _REPLAYED.restart_s
    load_bytes_per_s: float = _REPLAYED.load_bytes_per_s
    nic_failover: bool = _REPLAYED.nic_failover

    @property
    def law(self) -> ReplayedFailures:
        """These failures as replays have them."""
        return ReplayedFailures(
            availability_target=self.availability_target, mtbf_hours=self.mtbf_hours, detection_s=self.detection_s,
            repair_s=self.repair_s, restart_s=self.restart_s, load_bytes_per_s=self.load_bytes_per_s,
            nic_failover=self.nic_failover,
        )  # fmt: skip


SOURCES: Mapping[str, str] = {
    "failures.availability_target": "assumed",
    "failures.unit": "ranks of an EP group wait for one another",
    "failures.mtbf_hours.device": "assumed, with a GPU's share of node and NIC; Llama 3 (arXiv 2407.21783, section "
    "3.3.4) counts 419 unexpected interruptions in 54 days on 16,384 H100: one per 50,700 GPU hours",
    "failures.detection_s": "assumed: health checks and a restart's timeouts",
    "failures.repair_s": "assumed: four hours until the repaired node, or another, stands in its place",
    "failures.restart_s": "assumed",
    "failures.load_bytes_per_s": "assumed: weights from shared storage, per GPU",
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """One plan's question; `n_gpus`: counts that may be used (empty: any up to `search.most_gpus`). `popularity` and
    `zero_experts` of routing as in a scenario. `model_overrides`, `machine_overrides` likewise."""

    model: str
    machines: Sequence[str]
    n_gpus: Sequence[int] = ()
    name: str = "plan"
    title: str = ""
    seed: int = 0
    popularity: str = "balanced"
    zero_experts: ZeroPolicy = "skip"
    traffic: Traffic = field(default_factory=Traffic)
    targets: Targets = field(default_factory=Targets)
    search: Search = field(default_factory=Search)
    prices: Prices = field(default_factory=Prices)
    failures: Failures = field(default_factory=Failures)
    model_overrides: Overrides = field(default_factory=dict)
    machine_overrides: Overrides = field(default_factory=dict)

    @property
    def wants_rate(self) -> bool:
        """Whether a rate is to be met, rather than GPUs to be filled."""
        return self.traffic.requests_per_s > 0.0 or self.traffic.users > 0
