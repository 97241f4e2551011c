"""From a scenario to its answer: does it fit, and if so, what does a step come to?"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from hw_profiles.fitted import Fitted
from hw_profiles.provenance import value_at
from hw_profiles.schema import HardwareProfile
from simulator.amounts import amounts_by_kind
from simulator.answer import Answer, Assumption
from simulator.balance import balance_metrics
from simulator.critical_path import critical_path, shares
from simulator.demands import KnownCosts
from simulator.intervals import intervals, step_interval_s
from simulator.metrics import bytes_by_tier, device_times, flops_per_gpu, kind_table, time_metrics
from simulator.rebalancing import rebalancing
from simulator.scenario import resolved
from simulator.scenario_schema import Scenario
from simulator.simulate import Run, simulate, with_shapes
from workloads.batch import accepted_tokens_per_step
from workloads.lower import lower
from workloads.memory import MemoryUse, kv_cache_bytes, memory_use
from workloads.step import StepSpec

_MOST_SEQUENCES = 1 << 20
_WORTH_A_WORD = 0.05  # of the critical path: below, an extrapolation decides nothing


def evaluate(scenario: Scenario, *, shapes: bool = False) -> Answer:
    """Return the answer to a scenario; one that does not fit its memory is infeasible, with the reason.

    `shapes`: give the timeline a column with each kernel's shape, for trace files.
    """
    profile = scenario.profile
    memory = memory_use(scenario.step)
    limit = profile.device.hbm_bytes * profile.device.usable_hbm_share
    fit = sequences_that_fit(scenario.step, limit)
    reason = _reason(scenario, memory, limit, fit)
    run = None if reason else run_scenario(scenario)
    answer = _answer(scenario, memory, limit, fit=fit, reason=reason, run=run)
    return replace(answer, timeline=with_shapes(run)) if run and shapes else answer


def run_scenario(scenario: Scenario) -> Run:
    """Return the simulated step of a scenario, whether or not it fits the memory."""
    return run_step(scenario, scenario.step)


def run_step(
    scenario: Scenario, step: StepSpec, fitted: Fitted | None = None, *, known: KnownCosts | None = None
) -> Run:
    """Return another step of work, simulated as the scenario runs its own, or with these curves in place of its own;
    `known`: costs of earlier steps on its machine and curves, added to."""
    options = scenario.run
    return simulate(
        lower(step, scenario.schedule),
        scenario.profile,
        launch=options.launch,
        contention=options.contention,
        compute_sms=scenario.compute_sms,
        fitted=scenario.fitted if fitted is None else fitted,
        interference=options.interference,
        backend=options.backend,
        known=known,
    )


def _reason(scenario: Scenario, memory: MemoryUse, limit: float, fit: int) -> str:
    if memory.total_bytes <= limit:
        return ""
    largest = max(memory.items, key=lambda name: memory.items[name])
    return (
        f"needs {memory.total_bytes / 1e9:.1f} GB per GPU of the {limit / 1e9:.1f} GB usable on "
        f"{scenario.profile.name}; "
        f"largest item: {largest} {memory.items[largest] / 1e9:.1f} GB; {fit} sequences per GPU would fit"
    )


def sequences_that_fit(step: StepSpec, limit_bytes: float) -> int:
    """Return the most sequences per GPU whose memory stays within the limit (0: not even one).

    Buffers stay at least as large as the batch asks for; the fullest device's KV cache keeps its ratio to the mean.
    """
    even = replace(step, batch=replace(step.batch, context_cv=0.0))
    fullest = kv_cache_bytes(step) / kv_cache_bytes(even)

    def fits(n: int) -> bool:
        asked = step.batch.max_dispatch_tokens
        buffers = max(asked, n * step.queries_per_sequence) if asked else 0
        candidate = replace(even, batch=replace(even.batch, sequences_per_gpu=float(n), max_dispatch_tokens=buffers))
        return memory_use(candidate).total_bytes + (fullest - 1.0) * kv_cache_bytes(candidate) <= limit_bytes

    low, high = 0, 1
    while high <= _MOST_SEQUENCES and fits(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _answer(scenario: Scenario, memory: MemoryUse, limit: float, *, fit: int, reason: str, run: Run | None) -> Answer:
    base = Answer(
        name=scenario.name,
        scenario=resolved(scenario),
        feasible=not reason,
        reason=reason,
        metrics={},
        kinds=[],
        critical_path_by_source={},
        warnings=warnings_of(scenario),
        memory_bytes=memory.items,
        memory_limit_bytes=limit,
        sequences_that_fit=fit,
        assumptions=assumptions_of(scenario.profile),
    )
    if run is None:
        return base
    devices, path = device_times(run.timeline), critical_path(run)
    metrics = time_metrics(run.timeline, devices)
    moving_s = 0.0
    if scenario.layout.rebalance_every_steps:
        moved = rebalancing(scenario.step, scenario.profile)
        moving_s = moved.s_per_step
        metrics |= {"rebalance_s": moving_s, "rebalance_bytes": moved.bytes_per_step}
        metrics["step_s"] += moving_s
    metrics |= rate_metrics(scenario, metrics["step_s"])
    metrics |= {"flops": flops_per_gpu(run), "bytes": bytes_by_tier(run), **balance_metrics(run)}
    metrics["bound_by"] = next(iter(shares(path, "bound")))
    low_s, high_s = step_interval_s(run, path, seed=scenario.seed)
    return replace(
        base,
        warnings=[*base.warnings, *_extrapolation(path)],
        metrics=metrics,
        interval=intervals(metrics, low_s + moving_s, high_s + moving_s),
        kinds=kind_table(run.timeline, devices, path),
        critical_path_by_source=shares(path, "source"),
        timeline=run.timeline,
        critical_path=path,
        amounts=amounts_by_kind(run, path),
        expert_rows_LR=run.graph.expert_rows_LR,
    )


def rate_metrics(scenario: Scenario, step_s: float) -> dict[str, float]:
    """Return tpot_s, tokens/s per user and per GPU, and the price of a million tokens (docs/design.md, section 5)."""
    usd_per_s = scenario.profile.device.usd_per_hour / 3600.0
    if scenario.phase == "prefill":
        per_gpu = scenario.batch.sequences_per_gpu * scenario.batch.prompt_tokens / step_s
        return {"tokens_per_s_per_gpu": per_gpu, "usd_per_million_input_tokens": usd_per_s / per_gpu * 1e6}
    tpot_s = step_s / accepted_tokens_per_step(scenario.mtp)
    per_gpu = scenario.batch.sequences_per_gpu / tpot_s
    return {
        "tpot_s": tpot_s,
        "tokens_per_s_per_user": 1.0 / tpot_s,
        "tokens_per_s_per_gpu": per_gpu,
        "usd_per_million_output_tokens": usd_per_s / per_gpu * 1e6,
    }


def warnings_of(scenario: Scenario) -> Sequence[str]:
    """Return what a reader of the answer has to know about how it was reached."""
    model, found = scenario.model_spec, []
    if scenario.schedule == "prefill_pairs":
        found.append("no published figure exists for the prefill_pairs order: this answer is unvalidated")
    if scenario.mtp.n_draft and model.mtp is None:
        found.append(f"{model.name} has no draft head: drafts come from outside, at no cost")
    if scenario.routing.zero_experts == "remap0" and model.moe.n_zero_experts:
        found.append("remap0 sends every zero-expert slot to expert 0: its rank is a hot spot")
    in_graph = scenario.phase == "decode" and scenario.run.launch == "graph"
    if in_graph and scenario.all_to_all == "normal" and scenario.layout.ep > 1:
        # DeepEP README: the CPU waits for the received counts, "not compatible with CUDA graph"
        found.append("normal all-to-alls wait on the host, for which no time stands here and which no graph allows")
    if scenario.machine_overrides:
        found.append(f"assumed, not {scenario.machine}'s own: {', '.join(scenario.machine_overrides)}")
    if not scenario.run.contention:
        found.append("contention is off: ops beside one another do not slow each other")
    return found


def _extrapolation(path: pd.DataFrame) -> Sequence[str]:
    """How much of the critical path curves price outside what they were fitted on, where that is worth a word."""
    share = shares(path, "extrapolated").get("True", 0.0)
    if share < _WORTH_A_WORD:
        return []
    return [f"{share:.0%} of the critical path is priced outside the measured range of its curves: extrapolated"]


def assumptions_of(profile: HardwareProfile) -> Sequence[Assumption]:
    """Return every figure of the machine with its unit and source."""
    return [
        Assumption(
            name=path,
            value=_shown_value(profile, path),
            unit=_unit(path),
            source=provenance.source,
            reference=provenance.reference,
        )
        for path, provenance in profile.provenance.items()
    ]


def _shown_value(profile: HardwareProfile, path: str) -> float | str:
    value = value_at(profile, path)
    return value if isinstance(value, float | str) else float(value)


_UNITS = {"bytes_per_s": "B/s", "flops_per_s": "FLOP/s", "_bytes": "B", "_s": "s", "_w": "W", "usd_per_hour": "USD/h"}


def _unit(path: str) -> str:
    words = path.split(".")
    name = words[-2] if words[-1] in {"bf16", "fp8", "int8", "fp4"} else words[-1]
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")


def document(answer: Answer) -> dict[str, Any]:
    """Return the answer as the JSON document of `run --json`."""
    return {
        "scenario": answer.scenario,
        "feasible": answer.feasible,
        "reason": answer.reason,
        "metrics": answer.metrics,
        "interval": answer.interval,
        "kinds": answer.kinds,
        "critical_path_by_source": answer.critical_path_by_source,
        "memory": {
            "bytes": answer.memory_bytes,
            "limit_bytes": answer.memory_limit_bytes,
            "sequences_that_fit": answer.sequences_that_fit,
        },
        "warnings": answer.warnings,
    }
