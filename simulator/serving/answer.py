"""The answer to `longsim replay`: what ran, its metrics, how good its step times are, and its JSON document."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from simulator.evaluate import warnings_of
from simulator.scenario import prefill_scenario, resolved
from simulator.scenario_schema import Scenario
from simulator.serving.deployment import Deployment, deployment
from simulator.serving.failure_metrics import failure_metrics, spares
from simulator.serving.interpolated_steps import InterpolationError
from simulator.serving.metrics import Slo, serving_metrics
from simulator.serving.outages import Outage
from simulator.serving.pool_metrics import pool_metrics, ratio_words
from simulator.serving.pools import PoolsRun, replay_pools
from simulator.serving.progress import Watch
from simulator.serving.replay import replay
from simulator.serving.results import ServingRun
from simulator.serving.surcharge_metrics import surcharge_metrics
from simulator.serving.together import LOST
from workloads.traffic.requests import Requests
from workloads.traffic.sessions import SessionTraffic

_LITTLES_LAW = 1e-6  # between two sums of the same times, taken in different order
_WORST_ERROR = 0.03  # of an interpolated step: beyond, the answer says so


@dataclass(frozen=True, kw_only=True)
class ServingAnswer:
    """What a scenario comes to under a stream of requests. `errors`: of the step times of each pool;
    `outages`: of its replicas."""

    scenario: Scenario
    deployment: Deployment
    run: ServingRun
    metrics: Mapping[str, Any]
    errors: Mapping[str, InterpolationError]
    outages: Sequence[Outage]
    slo: Slo
    warnings: Sequence[str]


def serve(
    scenario: Scenario,
    requests: Iterator[Requests] | SessionTraffic,
    *,
    slo: Slo | None = None,
    until_s: float = float("inf"),
    watch: Watch | None = None,
) -> ServingAnswer:
    """Return the answer to a stream of requests on the replicas of a scenario; InputFaults as `replay`'s own."""
    deployed, slo = deployment(scenario), slo or Slo()
    done = _replayed(scenario, deployed, requests, until_s=until_s, watch=watch)
    run = done.run
    metrics = serving_metrics(
        run, slo=slo, n_gpus=deployed.n_gpus_in_all, usd_per_gpu_hour=deployed.usd_per_gpu_hour,
        n_prefill=deployed.prefill.n_replicas if deployed.prefill else 0,
    )  # fmt: skip
    metrics = {**metrics, **surcharge_metrics(run, deployed.pools)}
    if done.transfers:
        metrics = {**metrics, **pool_metrics(run, deployed.pools, done.transfers)}
    if done.outages:
        metrics = {**metrics, "failures": _failures(scenario, deployed, run, done.outages.log)}
    errors = {name: pool.step_times.error() for name, pool in deployed.pools.items()}
    return ServingAnswer(
        scenario=scenario, deployment=deployed, run=run, metrics=metrics, errors=errors, slo=slo,
        outages=tuple(done.outages.log) if done.outages else (),
        warnings=[*_warnings(scenario, run, errors, metrics), *_never_happened(scenario, run.end_s)],
    )  # fmt: skip


def _replayed(
    scenario: Scenario, deployed: Deployment, requests: Iterator[Requests] | SessionTraffic, *, until_s: float,
    watch: Watch | None,
) -> PoolsRun:  # fmt: skip
    if deployed.prefill or deployed.breaks:
        return replay_pools(
            requests, prefill=deployed.prefill.pool if deployed.prefill else None, decode=deployed.pool,
            link=deployed.link, breaks=deployed.breaks, mtp=scenario.mtp, seed=scenario.seed, until_s=until_s,
            watch=watch,
        )  # fmt: skip
    run = replay(
        requests, knobs=deployed.knobs, step_times=deployed.step_times, kv_blocks=deployed.kv_blocks,
        n_replicas=deployed.n_replicas, n_groups=deployed.n_groups, router=deployed.router, mtp=scenario.mtp,
        seed=scenario.seed, kv_bytes_per_token=deployed.kv_bytes_per_token, surcharges=deployed.surcharges,
        until_s=until_s, watch=watch,
    )  # fmt: skip
    return PoolsRun(run=run, transfers=None, outages=None)


def _failures(scenario: Scenario, deployed: Deployment, run: ServingRun, log: Sequence[Outage]) -> Mapping[str, Any]:
    n_lost, prefill = int((run.requests["reason"] == LOST).sum()), prefill_scenario(scenario)
    pools = {name: pool.n_replicas for name, pool in deployed.pools.items()}
    made_of = {name: prefill if name == "prefill" and prefill else scenario for name in pools}
    needed = {name: spares(replace(of, failures=scenario.failures), pools[name]) for name, of in made_of.items()}
    return {
        **failure_metrics(log, n_replicas=run.n_replicas, end_s=run.end_s, n_lost=n_lost),
        "spares": {name: of for name, of in needed.items() if of},
    }


def _never_happened(scenario: Scenario, end_s: float) -> Iterator[str]:
    for position, event in enumerate(scenario.failures.events):
        if event.at_s >= end_s:
            yield (
                f"failures.events[{position}]: at {event.at_s:g} s, when the run had ended at {end_s:g} s; it did not "
                f"happen: set it earlier, or replay more requests"
            )


def _warnings(
    scenario: Scenario, run: ServingRun, errors: Mapping[str, InterpolationError], metrics: Mapping[str, Any]
) -> Sequence[str]:
    found, state = list(warnings_of(scenario)), run.requests["state"]
    worst = max(error.worst for error in errors.values())
    if worst > _WORST_ERROR:
        found.append(f"an interpolated step was {worst:.1%} off its exact time")
    if metrics["verdict"] != "stable" and "pools" in metrics:
        found.append(ratio_words(metrics["pools"]))
    if metrics["littles_law_gap"] > _LITTLES_LAW:
        found.append(f"Little's law is {metrics['littles_law_gap']:.1e} off: the schedulers lost count, a defect")
    if n_rejected := int((state == "rejected").sum()):
        reason = run.requests["reason"][state == "rejected"].iloc[0]
        found.append(f"{n_rejected:,} requests were rejected; the first: {reason}")
    if n_running := int((state == "running").sum()):
        found.append(f"{n_running:,} requests were not answered by the end")
    return found


def serving_document(answer: ServingAnswer) -> dict[str, Any]:
    """Return the JSON document of `replay --json`."""
    deployed = answer.deployment
    return {
        "scenario": resolved(answer.scenario),
        "serving": _pool_document(deployed),
        **(_prefill_document(deployed.prefill, answer.errors["prefill"]) if deployed.prefill else {}),
        **({"kv_transfer": asdict(deployed.link)} if deployed.link else {}),
        **({"outages": [asdict(outage) for outage in answer.outages]} if "failures" in answer.metrics else {}),
        "slo": asdict(answer.slo),
        "metrics": answer.metrics,
        "interpolation_error": asdict(answer.errors["decode" if deployed.prefill else "replicas"]),
        "warnings": list(answer.warnings),
    }


def _prefill_document(pool: Deployment, error: InterpolationError) -> dict[str, Any]:
    return {"prefill_pool": {**_pool_document(pool), "interpolation_error": asdict(error)}}


def _pool_document(deployed: Deployment) -> dict[str, Any]:
    return {
        **{k: v for k, v in asdict(deployed.knobs).items() if k != "sources"},
        "sources": dict(deployed.knobs.sources),
        "n_replicas": deployed.n_replicas,
        "router": deployed.router,
        "routing_noise": deployed.surcharges.word,
        "rebalance_spread": deployed.surcharges.replacing.spread_steps,
        "attention_groups": deployed.n_groups,
        "kv_blocks": deployed.kv_blocks,
        "n_gpus": deployed.n_gpus,
    }
