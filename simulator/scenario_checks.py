"""Second pass over a scenario: does it make sense? Each check returns every fault it finds."""

import math
from collections.abc import Iterable

from hw_profiles.faults import Fault, InputFaults, unknown_word
from hw_profiles.schema import HardwareProfile
from simulator.layout_checks import check_for_layout_that_does_not_divide
from simulator.model_checks import check_for_impossible_model
from simulator.scenario_schema import Scenario
from workloads.choices import load_trace
from workloads.model import ModelSpec
from workloads.routing import beta_binomial_std_range
from workloads.schedules.table import SCHEDULES
from workloads.zoo import n_moe_layers

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
    impossible = [*check_for_impossible_model(model)] if model and scenario.model_overrides else []
    faults += impossible
    if impossible:
        model = None  # nothing can be divided by sizes that are none
    if model:
        faults += [*check_for_schedule_that_does_not_fit(scenario, model), *check_for_bad_routing(scenario, model)]
        faults += check_for_trace_of_another_model(scenario, model)
        faults += check_for_bad_drafts(scenario, model)
    if model and profile and not any(f.field == "n_gpus" for f in faults):
        faults += check_for_layout_that_does_not_divide(scenario, model, profile)
        faults += check_for_missing_precision(scenario, profile)
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
        yield Fault(field="batch.prompt_tokens", got=str(scenario.batch.prompt_tokens),
                    allowed="at least 1 when phase is prefill", remedy="write the new tokens per sequence")  # fmt: skip
    if not scenario.run.parts:
        yield Fault(field="run.parts", got="[]", allowed="layers, lm_head, mtp, sampling", remedy="name at least one")


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
        yield Fault(field="schedule", got=repr(scenario.schedule), allowed=f"{allowed} ({model.name} has no shortcut)",
                    remedy="choose one of these, or a ScMoE model")  # fmt: skip
    if scenario.schedule == "prefill_pairs" and scenario.phase != "prefill":
        allowed = f"{', '.join(name for name in SCHEDULES if name != 'prefill_pairs')} in decode"
        yield Fault(field="schedule", got="'prefill_pairs'", allowed=allowed,
                    remedy="set phase = \"prefill\" or choose a decode order")  # fmt: skip


def check_for_bad_routing(scenario: Scenario, model: ModelSpec) -> Iterable[Fault]:
    """Popularity that cannot be read, FFN experts per token that cannot be."""
    routing, ffn, top_k = scenario.routing, scenario.routing.ffn_experts, model.moe.top_k
    kind, _, argument = routing.popularity.partition(":")
    if kind not in {"balanced", "power_law", "counts", "trace"} or (kind != "balanced") != bool(argument):
        yield Fault(field="routing.popularity", got=repr(routing.popularity),
                    allowed="balanced, power_law:ALPHA, counts:FILE, trace:FILE",
                    remedy="write one of these forms")  # fmt: skip
    elif kind == "power_law" and not (_is_number(argument) and 0.0 < float(argument) <= 10.0):
        allowed = "power_law:ALPHA, 0 < ALPHA <= 10"
        yield Fault(field="routing.popularity", got=repr(routing.popularity), allowed=allowed,
                    remedy="write an exponent such as power_law:1.01")  # fmt: skip
    if not 0.0 <= ffn.mean <= top_k:
        yield Fault(field="routing.ffn_experts.mean", got=f"{ffn.mean:g}", allowed=f"0 (the model's own) to {top_k}",
                    remedy="write the mean number of FFN experts per token")  # fmt: skip
        return
    if ffn.kind == "beta_binomial" and model.moe.n_zero_experts:
        mean = ffn.mean or model.moe.mean_ffn_experts
        low, high = beta_binomial_std_range(n=top_k, mean=mean)
        if not 0.0 < mean < top_k:
            yield Fault(field="routing.ffn_experts.mean", got=f"{mean:g}", allowed=f"0 to {top_k}, ends excluded",
                        remedy="a spread needs room on both sides, or choose kind = \"fixed\"")  # fmt: skip
        elif not low < ffn.std < high:
            allowed = f"{low:.3g} to {high:.3g}, ends excluded"
            yield Fault(field="routing.ffn_experts.std", got=f"{ffn.std:g}", allowed=allowed,
                        remedy="LongCat's published figure is 3")  # fmt: skip


def check_for_trace_of_another_model(scenario: Scenario, model: ModelSpec) -> Iterable[Fault]:
    """A routing trace that cannot be read, or was recorded from other experts or layers."""
    kind, _, path = scenario.routing.popularity.partition(":")
    if kind != "trace" or not path:
        return
    try:
        trace = load_trace(path)
    except ValueError as error:
        yield Fault(
            field="routing.popularity",
            got=f"{scenario.routing.popularity!r}: {error}",
            allowed="a routing trace recorded by the layers",
            remedy="check the file",
        )
        return
    moe = model.moe
    found = (trace.n_routed_experts, trace.n_zero_experts, trace.top_k, trace.n_layers)
    wanted = (moe.n_routed_experts, moe.n_zero_experts, moe.top_k, n_moe_layers(model))
    if found != wanted:
        yield Fault(
            field="routing.popularity",
            got="a trace of {} routed + {} zero experts, top-{}, {} layers".format(*found),
            allowed="{} routed + {} zero experts, top-{}, {} layers".format(*wanted) + f" as in {model.name}",
            remedy="record a trace of this model, or set model_overrides to the recorded one",
        )
    if scenario.routing.zero_experts in {"none", "k8"}:
        yield Fault(
            field="routing.zero_experts",
            got=repr(scenario.routing.zero_experts),
            allowed="skip, remap0 with a trace, which fixes the choices",
            remedy="choose one of these, or another popularity",
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_for_bad_drafts(scenario: Scenario, model: ModelSpec) -> Iterable[Fault]:
    """Acceptances that are none, or too few of them; more drafts than the model has heads."""
    mtp = scenario.mtp
    heads = model.mtp.n_layers if model.mtp else None
    if mtp.n_draft < 0 or mtp.n_draft > 16:
        yield Fault(field="mtp.n_draft", got=str(mtp.n_draft), allowed="0 to 16", remedy="write the drafts per step")
    elif heads is not None and mtp.n_draft > heads:
        yield Fault(field="mtp.n_draft", got=str(mtp.n_draft), allowed=f"0 to {heads} ({model.name}'s draft heads)",
                    remedy="lower it")  # fmt: skip
    if len(mtp.acceptance) < mtp.n_draft:
        yield Fault(field="mtp.acceptance", got=str(list(mtp.acceptance)), allowed="one probability per draft",
                    remedy=f"write {mtp.n_draft} of them")  # fmt: skip
    if any(not 0.0 <= p <= 1.0 for p in mtp.acceptance):
        yield Fault(field="mtp.acceptance", got=str(list(mtp.acceptance)), allowed="probabilities from 0 to 1",
                    remedy="write shares, not per cent")  # fmt: skip


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
        if any(precision not in table for table in tables):
            allowed = ", ".join(sorted(set.intersection(*(set(table) for table in tables)) & {"bf16", "fp8"}))
            yield Fault(field=field, got=repr(precision), allowed=f"{allowed} on {profile.name}",
                        remedy="choose one of these, or give a profile of your own a figure for it")  # fmt: skip
