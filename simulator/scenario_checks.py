"""Second pass over a scenario: does it make sense? Each check returns every fault it finds."""

import math
from collections.abc import Iterable

from hw_profiles.faults import Fault, InputFaults, unknown_word
from hw_profiles.schema import HardwareProfile
from simulator.backend_checks import check_for_what_the_layers_cannot_run
from simulator.layout_checks import (
    check_for_all_to_all_that_does_not_fit,
    check_for_layout_that_does_not_divide,
    check_for_small_buffers,
    check_for_what_is_not_modelled,
)
from simulator.model_checks import check_for_impossible_model
from simulator.placement_checks import check_for_impossible_placement
from simulator.routing_checks import check_for_bad_routing, check_for_trace_of_another_model
from simulator.scenario_schema import KvTransfer, Scenario
from workloads.batch import ARITHMETIC
from workloads.model import ModelSpec
from workloads.schedules.table import SCHEDULES

_REASONABLE = {
    "batch.sequences_per_gpu": (1e-3, 1e5),
    "batch.context_tokens": (0.0, 1e8),
    "batch.context_cv": (0.0, 10.0),
    "batch.max_dispatch_tokens": (0, 1e6),
    "batch.prompt_tokens": (0, 1e7),
    "run.compute_sms": (0, 1e4),
    "seed": (0, 2**63),
}


def check_scenario(scenario: Scenario) -> list[Fault]:
    """Return every fault of sense of a scenario whose shape is right."""
    faults: list[Fault] = []
    profile, model = None, None
    try:
        profile = scenario.profile
    except InputFaults as error:
        faults += error.faults
    try:
        model = scenario.model_spec
    except InputFaults as error:
        faults += error.faults
    faults += [*check_for_absurd_numbers(scenario), *check_for_unknown_schedule(scenario)]
    faults += check_for_transfers_of_nothing(scenario)
    impossible = [*check_for_impossible_model(model)] if model and scenario.model_overrides else []
    faults += impossible
    if impossible:
        model = None  # nothing can be divided by sizes that are none
    if model:
        faults += [*check_for_schedule_that_does_not_fit(scenario, model), *check_for_bad_routing(scenario, model)]
        faults += check_for_shortcut_that_does_not_fit(scenario, model)
        faults += check_for_trace_of_another_model(scenario, model)
        faults += check_for_bad_drafts(scenario, model)
        faults += check_for_what_the_layers_cannot_run(scenario, model)
    if profile:
        faults += check_for_more_sms_than_there_are(scenario, profile)
    faults += [*check_for_what_is_not_modelled(scenario.layout), *check_for_small_buffers(scenario)]
    if model and profile and not any(f.field == "n_gpus" for f in faults):
        faults += check_for_layout_that_does_not_divide(scenario, model, profile)
        faults += check_for_missing_precision(scenario, profile)
        faults += check_for_all_to_all_that_does_not_fit(scenario, profile)
        faults += check_for_impossible_placement(scenario, model, profile)
    return faults


def check_for_absurd_numbers(scenario: Scenario) -> Iterable[Fault]:
    """Numbers outside what any cluster or batch can be."""
    for key, (low, high) in _REASONABLE.items():
        value: object = scenario
        for part in key.split("."):
            value = getattr(value, part)
        assert isinstance(value, int | float)
        if not (math.isfinite(value) and low <= value <= high):
            yield Fault(
                field=key, got=f"{value:g}", allowed=f"{low:g} to {high:g}", remedy="write a number in this range"
            )
    if scenario.n_gpus < 1 or scenario.n_gpus > 100_000:
        yield Fault(field="n_gpus", got=str(scenario.n_gpus), allowed="1 to 100000", remedy="write the number of GPUs")
    if scenario.phase == "train":
        yield Fault(
            field="phase", got="'train'", allowed="decode, prefill", remedy="training steps are not modelled yet"
        )
    if scenario.phase == "prefill" and scenario.batch.prompt_tokens < 1:
        yield Fault(
            field="batch.prompt_tokens",
            got=str(scenario.batch.prompt_tokens),
            allowed="at least 1 when phase is prefill",
            remedy="write the new tokens per sequence",
        )
    if not scenario.run.parts:
        yield Fault(field="run.parts", got="[]", allowed="layers, lm_head, mtp, sampling", remedy="name at least one")


def check_for_transfers_of_nothing(scenario: Scenario) -> Iterable[Fault]:
    """Caches on their way where every replica computes its own, and ways that are none."""
    link = scenario.kv_transfer
    if not scenario.prefill_pool and link != KvTransfer():
        yield Fault(field="kv_transfer", got="a table without a prefill_pool", allowed="both, or neither",
                    remedy="say which replicas compute prompts, such as prefill_pool.n_gpus=8")  # fmt: skip
    for key, value in (("bytes_per_s", link.bytes_per_s), ("latency_s", link.latency_s)):
        if not 0.0 <= value < math.inf:
            yield Fault(field=f"kv_transfer.{key}", got=f"{value:g}", allowed="0 (the machine's) or more",
                        remedy="write the figure of one GPU's way to the other pool")  # fmt: skip


def check_for_more_sms_than_there_are(scenario: Scenario, profile: HardwareProfile) -> Iterable[Fault]:
    """More SMs for compute kernels than the machine has."""
    n_sms = profile.device.n_sms
    if n_sms < scenario.run.compute_sms <= _REASONABLE["run.compute_sms"][1]:
        yield Fault(field="run.compute_sms", got=str(scenario.run.compute_sms), allowed=f"0 to {n_sms}",
                    remedy=f"{profile.name} has {n_sms} SMs; 0 takes all")  # fmt: skip


def check_for_unknown_schedule(scenario: Scenario) -> Iterable[Fault]:
    """A schedule that is none of ours."""
    if scenario.schedule not in SCHEDULES:
        yield unknown_word("schedule", scenario.schedule, list(SCHEDULES))


def check_for_schedule_that_does_not_fit(scenario: Scenario, model: ModelSpec) -> Iterable[Fault]:
    """An overlap that needs the shortcut on a model without it; a prefill order in decode."""
    schedule = SCHEDULES.get(scenario.schedule)
    if schedule is None:
        return
    if schedule.scmoe_only and model.block != "scmoe":
        allowed = ", ".join(name for name, s in SCHEDULES.items() if not s.scmoe_only)
        yield Fault(
            field="schedule",
            got=repr(scenario.schedule),
            allowed=f"{allowed} ({model.name} has no shortcut)",
            remedy="choose one of these, or a ScMoE model",
        )
    if scenario.schedule == "prefill_pairs" and scenario.phase != "prefill":
        allowed = f"{', '.join(name for name in SCHEDULES if name != 'prefill_pairs')} in decode"
        yield Fault(
            field="schedule",
            got="'prefill_pairs'",
            allowed=allowed,
            remedy='set phase = "prefill" or choose a decode order',
        )


def check_for_shortcut_that_does_not_fit(scenario: Scenario, model: ModelSpec) -> Iterable[Fault]:
    """A shortcut position for a model without shortcuts; prefill pairs of a position that they are not made for."""
    if model.block != "scmoe" and "shortcut" in scenario.model_overrides:
        yield Fault(
            field="model_overrides.shortcut",
            got=str(model.shortcut),
            allowed=f"nothing: {model.name} has block {model.block!r}, without a shortcut",
            remedy="leave it out, or choose a ScMoE model",
        )
    if model.block == "scmoe" and scenario.schedule == "prefill_pairs" and model.shortcut != 2:
        yield Fault(
            field="model_overrides.shortcut",
            got=str(model.shortcut),
            allowed="2 with the schedule 'prefill_pairs'",
            remedy="its four pairs are made for position 2: choose another schedule, or leave the position",
        )


def check_for_bad_drafts(scenario: Scenario, model: ModelSpec) -> Iterable[Fault]:
    """Acceptances that are none, or too few of them; more drafts than the model has heads."""
    mtp = scenario.mtp
    heads = model.mtp.n_layers if model.mtp else None
    if mtp.n_draft < 0 or mtp.n_draft > 16:
        yield Fault(field="mtp.n_draft", got=str(mtp.n_draft), allowed="0 to 16", remedy="write the drafts per step")
    elif heads is not None and mtp.n_draft > heads:
        yield Fault(
            field="mtp.n_draft",
            got=str(mtp.n_draft),
            allowed=f"0 to {heads} ({model.name}'s draft heads)",
            remedy="lower it",
        )
    if len(mtp.acceptance) < mtp.n_draft:
        yield Fault(
            field="mtp.acceptance",
            got=str(list(mtp.acceptance)),
            allowed="one probability per draft",
            remedy=f"write {mtp.n_draft} of them",
        )
    if any(not 0.0 <= p <= 1.0 for p in mtp.acceptance):
        yield Fault(
            field="mtp.acceptance",
            got=str(list(mtp.acceptance)),
            allowed="probabilities from 0 to 1",
            remedy="write shares, not per cent",
        )


def check_for_missing_precision(scenario: Scenario, profile: HardwareProfile) -> Iterable[Fault]:
    """A number format for which the machine has no peak or no efficiency."""
    core = "attention_prefill" if scenario.phase == "prefill" else "attention_decode"
    wanted = {
        "precision.weights": (scenario.precision.weights, ("gemm", "grouped_gemm")),
        "precision.attention_weights": (scenario.precision.attention_weights, ("gemm",)),
        "precision.attention": (scenario.precision.attention, (core,)),
    }
    for field, (precision, families) in wanted.items():
        tables = [profile.device.peak_flops_per_s, *(getattr(profile.efficiency, family) for family in families)]
        if any(ARITHMETIC.get(precision, precision) not in table for table in tables):
            known = set.intersection(*(set(table) for table in tables)) & {"bf16", "fp8", "fp32", "fp4"}
            allowed = ", ".join(sorted(known))
            yield Fault(
                field=field,
                got=repr(precision),
                allowed=f"{allowed} on {profile.name}",
                remedy="choose one of these, or give a profile of your own a figure for it",
            )
