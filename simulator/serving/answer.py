"""The answer to `longsim replay`: what ran, its metrics, how good its step times are, and its JSON document."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from simulator.evaluate import warnings_of
from simulator.scenario import resolved
from simulator.scenario_schema import Scenario
from simulator.serving.deployment import Deployment, deployment
from simulator.serving.interpolated_steps import InterpolationError
from simulator.serving.metrics import Slo, serving_metrics
from simulator.serving.progress import Watch
from simulator.serving.replay import replay
from simulator.serving.results import ServingRun
from workloads.traffic.requests import Requests
from workloads.traffic.sessions import SessionTraffic

_LITTLES_LAW = 1e-6  # between two sums of the same times, taken in different order
_WORST_ERROR = 0.03  # of an interpolated step: beyond, the answer says so


@dataclass(frozen=True, kw_only=True)
class ServingAnswer:
    """What a scenario comes to under a stream of requests."""

    scenario: Scenario
    deployment: Deployment
    run: ServingRun
    metrics: Mapping[str, Any]
    error: InterpolationError
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
    run = replay(
        requests,
        knobs=deployed.knobs,
        step_times=deployed.step_times,
        kv_blocks=deployed.kv_blocks,
        n_replicas=deployed.n_replicas,
        n_groups=deployed.n_groups,
        router=deployed.router,
        mtp=scenario.mtp,
        seed=scenario.seed,
        kv_bytes_per_token=deployed.kv_bytes_per_token,
        until_s=until_s,
        watch=watch,
    )
    usd = scenario.profile.device.usd_per_hour
    metrics = serving_metrics(run, slo=slo, n_gpus=deployed.n_gpus, usd_per_gpu_hour=usd)
    error = deployed.step_times.error()
    return ServingAnswer(
        scenario=scenario, deployment=deployed, run=run, metrics=metrics, error=error, slo=slo,
        warnings=_warnings(scenario, run, error, metrics),
    )  # fmt: skip


def _warnings(
    scenario: Scenario, run: ServingRun, error: InterpolationError, metrics: Mapping[str, Any]
) -> Sequence[str]:
    found, state = list(warnings_of(scenario)), run.requests["state"]
    if error.worst > _WORST_ERROR:
        found.append(f"an interpolated step was {error.worst:.1%} off its exact time")
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
        "serving": {
            **{k: v for k, v in asdict(deployed.knobs).items() if k != "sources"},
            "sources": dict(deployed.knobs.sources),
            "n_replicas": deployed.n_replicas,
            "router": deployed.router,
            "attention_groups": deployed.n_groups,
            "kv_blocks": deployed.kv_blocks,
            "n_gpus": deployed.n_gpus,
        },
        "slo": asdict(answer.slo),
        "metrics": answer.metrics,
        "interpolation_error": asdict(answer.error),
        "warnings": list(answer.warnings),
    }
