"""Second pass over a plan's question: does it make sense? Each check returns every fault it finds."""

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from hw_profiles.faults import Fault, InputFaults, unknown_word
from hw_profiles.loader import load_profile
from hw_profiles.schema import HardwareProfile
from simulator.overrides import override_model
from simulator.planner.question import Question, Traffic
from simulator.routing_checks import check_for_bad_routing, check_for_trace_of_another_model
from simulator.scenario_schema import Scenario, find_model
from simulator.serving.knobs import list_presets
from workloads.batch import RoutingSpec
from workloads.schedules.table import SCHEDULES
from workloads.traffic.length_forms import lengths_of

_RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31),
    "traffic.requests_per_s": (0.0, 1e6),
    "traffic.users": (0, 1e8),
    "traffic.think_s": (0.0, 1e6),
    "traffic.arrivals_cv": (0.0, 20.0),
    "traffic.prefix_hit_share": (0.0, 0.99),
    "targets.ttft_s": (0.0, 1e5),
    "targets.tpot_s": (0.0, 1e3),
    "targets.ttft_percentile": (1.0, 99.9),
    "targets.tpot_percentile": (1.0, 99.9),
    "targets.goodput_share": (0.0, 0.999),
    "search.most_gpus": (1, 4096),
    "search.max_sequences": (0, 100_000),
    "search.confirmed": (0, 8),
    "prices.usd_per_kwh": (0.0, 100.0),
    "failures.availability_target": (0.0, 0.999999),
    "failures.detection_s": (0.0, 1e7),
    "failures.repair_s": (0.0, 1e8),
    "failures.restart_s": (0.0, 1e7),
    "failures.load_bytes_per_s": (1e6, 1e13),
}
_NOT_EMPTY = ("serving", "tp_tokens", "precisions", "prefill_tokens", "redundant_experts", "expert_placement")


def check_question(question: Question) -> list[Fault]:
    """Return every fault of sense of a question whose shape is right."""
    checks: tuple[Callable[[Question], Iterable[Fault]], ...] = (
        check_for_absurd_numbers, check_for_unknown_names, check_for_no_amount, check_for_contradictions,
        check_for_bad_counts, check_for_bad_lists, check_for_bad_tasks, check_for_routing_of_another_model,
        check_for_bad_lengths, check_for_no_target, check_for_bad_failures, check_for_bad_prices,
    )  # fmt: skip
    return [fault for check in checks for fault in check(question)]


def check_for_absurd_numbers(question: Question) -> Iterable[Fault]:
    """Numbers outside what any cluster or traffic can be."""
    for key, (low, high) in _RANGES.items():
        value: Any = question
        for part in key.split("."):
            value = getattr(value, part)
        if not (math.isfinite(value) and low <= value <= high):
            yield Fault(field=key, got=f"{value:g}", allowed=f"{low:g} to {high:g}",
                        remedy="write a number in this range")  # fmt: skip


def check_for_unknown_names(question: Question) -> Iterable[Fault]:
    """A model, machine, schedule or preset that is none; a name twice."""
    if not question.machines:
        yield Fault(field="machines", got="[]", allowed="one or more machines", remedy='such as ["h200_sxm"]')
    for names, field in ((question.machines, "machines"), (question.search.schedules, "search.schedules")):
        for name in dict.fromkeys(n for n in names if names.count(n) > 1):
            yield Fault(field=field, got=f"{name!r} twice", allowed="each once", remedy="leave one of them out")
    try:
        find_model(question.model)
    except InputFaults as error:
        yield from error.faults
    for machine in dict.fromkeys(question.machines):
        try:
            load_profile(machine)
        except InputFaults as error:
            yield from error.faults
    for schedule in question.search.schedules:
        if schedule not in SCHEDULES:
            yield unknown_word("search.schedules", schedule, list(SCHEDULES))
    if question.search.backend not in list_presets():
        yield unknown_word("search.backend", question.search.backend, list_presets())


def check_for_no_amount(question: Question) -> Iterable[Fault]:
    """Neither GPUs nor requests: nothing is to be sized."""
    if not question.n_gpus and not question.wants_rate and not question.traffic.trace:
        yield Fault(field="n_gpus", got="nothing, without a rate", allowed="GPU counts, or requests, or users",
                    remedy="add n_gpus = [32], or traffic.requests_per_s = 10")  # fmt: skip


def check_for_contradictions(question: Question) -> Iterable[Fault]:
    """Two amounts at once; lengths of a trace that brings its own; acceptance beside tasks."""
    traffic = question.traffic
    if traffic.requests_per_s and traffic.users:
        yield Fault(field="traffic.users", got=f"{traffic.users} beside requests_per_s={traffic.requests_per_s:g}",
                    allowed="one of the two", remedy="users ask again after their answers; leave one out")  # fmt: skip
    if traffic.think_s and not traffic.users:
        yield Fault(field="traffic.think_s", got=f"{traffic.think_s:g} without users", allowed="0, or users beside it",
                    remedy="say how many users there are")  # fmt: skip
    if traffic.tasks and (traffic.acceptance or traffic.ffn_experts):
        yield Fault(field="traffic.tasks", got="tasks beside traffic.acceptance or ffn_experts",
                    allowed="one of the two", remedy="write them into each task")  # fmt: skip
    if traffic.trace and not Path(traffic.trace).expanduser().is_file():
        yield Fault(field="traffic.trace", got=f"{traffic.trace!r}, where no file is", allowed="a file of requests",
                    remedy="check the path")  # fmt: skip
    for name in ("prompt", "output"):
        if traffic.trace and getattr(traffic, name) != getattr(Traffic(), name):
            yield Fault(field=f"traffic.{name}", got=f"{getattr(traffic, name)!r} beside a trace",
                        allowed="one of the two: a trace brings its own lengths", remedy="leave one out")  # fmt: skip
    if traffic.trace and traffic.prefix_hit_share:
        yield Fault(field="traffic.prefix_hit_share", got=f"{traffic.prefix_hit_share:g} beside a trace",
                    allowed="0: a trace brings its own prefixes", remedy="leave it out")  # fmt: skip


def legal_counts(question: Question, profile: HardwareProfile) -> list[int]:
    """Return the GPU counts asked for that a machine can have: part of a node or whole ones, within its fabric."""
    node, most = profile.node.n_devices, profile.fabric.max_devices
    return sorted({n for n in question.n_gpus if 1 <= n <= most and (n <= node or n % node == 0)})


def check_for_bad_counts(question: Question) -> Iterable[Fault]:
    """GPU counts that no candidate machine can have, and machines that can have none of them."""
    profiles = []
    for machine in dict.fromkeys(question.machines):
        with suppress(InputFaults):  # named by check_for_unknown_names
            profiles.append(load_profile(machine))
    legal = {profile.name: legal_counts(question, profile) for profile in profiles}
    for profile in profiles:
        if question.n_gpus and not legal[profile.name]:
            node = profile.node.n_devices
            yield Fault(field="n_gpus", got=f"{list(question.n_gpus)} on {profile.name}",
                        allowed=f"1 to {node}, or whole nodes of {node} up to {profile.fabric.max_devices:,}",
                        remedy="write such a count, or leave the machine out")  # fmt: skip
    for n in question.n_gpus:
        if any(legal.values()) and not any(n in counts for counts in legal.values()):
            yield Fault(field="n_gpus", got=str(n), allowed="parts of one node, or whole nodes, within the fabric",
                        remedy="write such a count")  # fmt: skip


def check_for_bad_lists(question: Question) -> Iterable[Fault]:
    """Lists that leave nothing to choose, and sizes that are none."""
    search = question.search
    for name in _NOT_EMPTY:
        if not getattr(search, name):
            yield Fault(field=f"search.{name}", got="[]", allowed="at least one value",
                        remedy="name what may be chosen, or leave the key out")  # fmt: skip
    sizes = {"n_gpus": (question.n_gpus, 1), "search.redundant_experts": (search.redundant_experts, 0),
             "search.n_draft": (search.n_draft, 0)}  # fmt: skip
    sizes |= {f"search.{name}": (getattr(search, name), 1) for name in ("ep", "attention_tp", "dense_tp")}
    sizes |= {"search.prefill_tokens": (search.prefill_tokens, 16)}
    for field, (values, least) in sizes.items():
        for value in values:
            if value < least or value > 1_000_000:
                yield Fault(field=field, got=str(value), allowed=f"whole numbers from {least}",
                            remedy="write another")  # fmt: skip


def check_for_bad_tasks(question: Question) -> Iterable[Fault]:
    """Shares that do not make a whole, probabilities that are none."""
    traffic = question.traffic
    total = sum(task.share for task in traffic.tasks.values())
    if traffic.tasks and abs(total - 1.0) > 1e-6:
        yield Fault(field="traffic.tasks", got=f"shares that add up to {total:g}", allowed="1",
                    remedy="make the shares of all tasks one whole")  # fmt: skip
    lists = {"traffic.acceptance": traffic.acceptance}
    lists |= {f"traffic.tasks.{name}.acceptance": task.acceptance for name, task in traffic.tasks.items()}
    for field, values in lists.items():
        if any(not 0.0 <= p <= 1.0 for p in values):
            yield Fault(field=field, got=str(list(values)), allowed="probabilities from 0 to 1",
                        remedy="write shares, not per cent")  # fmt: skip
    for name, task in traffic.tasks.items():
        if not 0.0 <= task.share <= 1.0:
            yield Fault(field=f"traffic.tasks.{name}.share", got=f"{task.share:g}", allowed="0 to 1",
                        remedy="write the share of the requests")  # fmt: skip
    experts = {task.ffn_experts > 0.0 for task in traffic.tasks.values()}
    if len(experts) > 1:
        yield Fault(field="traffic.tasks", got="ffn_experts of some tasks alone", allowed="all tasks, or none",
                    remedy="write the model's own where nothing else is known")  # fmt: skip


def check_for_bad_lengths(question: Question) -> Iterable[Fault]:
    """Laws of lengths that are none."""
    faults: list[Fault] = []
    lengths_of(question.traffic.prompt, "prompt", faults)
    lengths_of(question.traffic.output, "output", faults)
    for fault in faults:
        yield Fault(field=f"traffic.{fault.field}", got=fault.got, allowed=fault.allowed, remedy=fault.remedy)


def check_for_no_target(question: Question) -> Iterable[Fault]:
    """A goodput share of promises that nobody made."""
    targets = question.targets
    if targets.goodput_share and not (targets.ttft_s or targets.tpot_s):
        yield Fault(field="targets.goodput_share", got=f"{targets.goodput_share:g} without a target",
                    allowed="0, or with ttft_s or tpot_s", remedy="say what a request is promised")  # fmt: skip


def check_for_bad_failures(question: Question) -> Iterable[Fault]:
    """Hours between failures that are none."""
    for kind, hours in question.failures.mtbf_hours.items():
        if not (hours == 0.0 or 1.0 <= hours <= 1e9):
            yield Fault(field=f"failures.mtbf_hours.{kind}", got=f"{hours:g}", allowed="0 (never), or 1 to 1e+09",
                        remedy="write the mean hours between failures of one of them")  # fmt: skip


def check_for_bad_prices(question: Question) -> Iterable[Fault]:
    """Prices of machines that are no candidates, or that are none."""
    for machine, usd in question.prices.usd_per_gpu_hour.items():
        if machine not in question.machines:
            yield unknown_word("prices.usd_per_gpu_hour", machine, list(question.machines))
        if not 0.0 < usd < 1e5:
            yield Fault(field=f"prices.usd_per_gpu_hour.{machine}", got=f"{usd:g}", allowed="above 0",
                        remedy="write dollars per GPU and hour")  # fmt: skip


def check_for_routing_of_another_model(question: Question) -> Iterable[Fault]:
    """Popularity that cannot be read or is of other experts; FFN experts per token that the model does not choose."""
    try:
        model = override_model(find_model(question.model), question.model_overrides)
    except InputFaults:
        return  # named elsewhere
    means = {"traffic.ffn_experts": question.traffic.ffn_experts}
    means |= {f"traffic.tasks.{name}.ffn_experts": task.ffn_experts for name, task in question.traffic.tasks.items()}
    for field, mean in means.items():
        if mean and not model.moe.n_zero_experts:
            yield Fault(field=field, got=f"{mean:g}", allowed=f"0: {model.name} has no zero-computation experts",
                        remedy="leave it out")  # fmt: skip
        elif not 0.0 <= mean <= model.moe.top_k:
            yield Fault(field=field, got=f"{mean:g}", allowed=f"0 (the model's own) to {model.moe.top_k}",
                        remedy="write the mean number of FFN experts per token")  # fmt: skip
    asked = Scenario(model=question.model, machine="", n_gpus=1, routing=RoutingSpec(popularity=question.popularity))
    for check in (check_for_bad_routing, check_for_trace_of_another_model):
        yield from (replace(fault, field="popularity") for fault in check(asked, model))


def keys_of(section: str) -> list[str]:
    """Return the keys that the table at a dotted path of a plan's file may have."""
    kind: Any = Question
    for part in section.split(".") if section else []:
        at = next((f for f in fields(kind) if f.name == part), None)
        kind = at.default_factory if at else None
        if kind in (None, dict):
            return []
    return [f.name for f in fields(kind)]
