"""A plan replayed request by request: does it keep its targets, and at which rate?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

import pandas as pd

from simulator.planner.plan_scenarios import scenario_of_plan
from simulator.planner.planned_requests import requests_at
from simulator.planner.short_steps import ShortStepTimes
from simulator.planner.sizing import Plan
from simulator.planner.workshop import Workshop
from simulator.scenario import prefill_scenario
from simulator.scenario_schema import Scenario
from simulator.serving.deployment import Deployment, deployment
from simulator.serving.interpolated_steps import InterpolatedStepTimes
from simulator.serving.metrics import request_latencies
from simulator.serving.pools import replay_pools
from simulator.serving.replay import replay
from simulator.serving.results import ServingRun
from simulator.serving.verdict import verdict

_LIVES = 2.0  # of a request, over which requests come; those of the first one find an emptier cluster and do not count
_FEW, _FEWEST, _MOST = 500, 1500, 6000  # requests of a short replay, and of a long one
_GLANCE_S = 30.0  # of arrivals, after which it shows whether first tokens come too late


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """One replay. `rate_per_s` of the requests that came, `n_requests` that count; latencies at the question's
    quantiles [s]; `goodput_share`: of those that count, with both targets met; `verdict` of the queue; `misses`: target
    to how far it is missed (latency over the allowed one, less 1)."""

    rate_per_s: float
    seed: int
    n_requests: int
    ttft_s: float
    tpot_s: float
    goodput_share: float
    verdict: str
    misses: Mapping[str, float]

    @property
    def met(self) -> bool:
        """Whether every target was met."""
        return not self.misses


class Rehearsal:
    """Replays of one plan on step times that all of them share."""

    def __init__(self, shop: Workshop, plan: Plan) -> None:
        self.plan = plan
        self._shop, self._question, self._load = shop, shop.question, shop.load
        self._scenario = scenario_of_plan(shop.question, plan)
        self._deployed = self._with_short_steps(deployment(self._scenario))

    def _with_short_steps(self, deployed: Deployment) -> Deployment:
        prefill = prefill_scenario(self._scenario)
        if prefill is None or deployed.prefill is None:
            return replace(deployed, step_times=self._steps(self._scenario))
        pool = replace(deployed.prefill, step_times=self._steps(prefill))
        return replace(deployed, step_times=self._steps(self._scenario), prefill=pool)

    def _steps(self, scenario: Scenario) -> InterpolatedStepTimes:
        return InterpolatedStepTimes(
            ShortStepTimes(scenario, self._shop.known_costs), n_groups=scenario.n_gpus // scenario.layout.attention_tp,
            queries=1 + scenario.mtp.n_draft, seed=scenario.seed, coarse=True,
        )  # fmt: skip

    def glance(self, rate_per_s: float, seed: int) -> Confirmation:
        """Return a short replay, in which the cluster does not fill: what misses its targets here misses them."""
        n = min(max(round(_GLANCE_S * rate_per_s), _FEW), _MOST)
        run = self._run(rate_per_s, n, seed)
        return self._judged(run, _late(run.requests, n / rate_per_s / 4.0), rate_per_s, seed)

    def at(self, rate_per_s: float, seed: int) -> Confirmation:
        """Return the replay of requests that come at this rate."""
        life_s = self._life_s()
        n = min(max(round(_LIVES * life_s * rate_per_s), _FEWEST), _MOST)
        run = self._run(rate_per_s, n, seed)
        counted = _late(run.requests, min(life_s, n / rate_per_s / 2.0))
        return self._judged(run, counted, rate_per_s, seed)

    def _life_s(self) -> float:
        decode = self.plan.decode
        return self._load.decoded_tokens * decode.tpot_s + _finite(self._question.targets.ttft_s)

    def _run(self, rate_per_s: float, n_requests: int, seed: int) -> ServingRun:
        requests = requests_at(self._question, self._load, rate_per_s, n_requests, seed)
        deployed, mtp = self._deployed, self._scenario.mtp
        if deployed.prefill:
            return replay_pools(requests, prefill=deployed.prefill.pool, decode=deployed.pool, link=deployed.link,
                                mtp=mtp, seed=seed).run  # fmt: skip
        return replay(
            requests, knobs=deployed.knobs, step_times=deployed.step_times, kv_blocks=deployed.kv_blocks,
            n_replicas=deployed.n_replicas, n_groups=deployed.n_groups, router=deployed.router, mtp=mtp, seed=seed,
            kv_bytes_per_token=deployed.kv_bytes_per_token,
        )  # fmt: skip

    def _judged(self, run: ServingRun, counted: pd.DataFrame, rate_per_s: float, seed: int) -> Confirmation:
        targets, latencies = self._question.targets, request_latencies(counted)
        ttft_s = float(latencies["ttft_s"].quantile(targets.ttft_percentile / 100.0))
        tpot_s = float(latencies["tpot_s"].quantile(targets.tpot_percentile / 100.0))
        good = (latencies["ttft_s"] <= (targets.ttft_s or inf)) & (
            latencies["tpot_s"].fillna(0.0) <= (targets.tpot_s or inf)
        )
        share = float(good.sum()) / max(len(counted), 1)
        queue = verdict(run.requests, waits_until="first_token_s" if self.plan.prefill else "admitted_s")
        misses: dict[str, float] = {}
        for name, reached, allowed in (("ttft", ttft_s, targets.ttft_s), ("tpot", tpot_s, targets.tpot_s)):
            if allowed and not reached <= allowed:
                misses[name] = reached / allowed - 1.0
        if share < targets.goodput_share:
            misses["goodput"] = targets.goodput_share / max(share, 1e-9) - 1.0
        if queue == "overloaded":
            misses["queue"] = 1.0
        return Confirmation(
            rate_per_s=rate_per_s, seed=seed, n_requests=len(counted), ttft_s=ttft_s, tpot_s=tpot_s,
            goodput_share=share, verdict=queue, misses=misses,
        )  # fmt: skip


def _late(requests: pd.DataFrame, since_s: float) -> pd.DataFrame:
    """The requests that came after the first ones had filled the cluster."""
    arrival_s = requests["arrival_s"]
    late: pd.DataFrame = requests[arrival_s >= arrival_s.min() + since_s]
    return late


def _finite(seconds: float) -> float:
    return seconds if seconds < inf else 0.0
