"""A plan as a scenario: what `longsim replay` runs, and a file to keep."""

from collections.abc import Mapping
from typing import Any

from simulator.planner.operating import Point
from simulator.planner.precisions import PRECISIONS
from simulator.planner.question import Question
from simulator.planner.sizing import Plan
from simulator.planner.space import Family
from simulator.scenario import build_scenario
from simulator.scenario_schema import Scenario

BLOCK_TOKENS = 64  # of the KV cache: FlashMLA's page; a trace may hash finer blocks, so that its own default stays


def tables_of(question: Question, plan: Plan) -> dict[str, Any]:
    """Return the scenario of a plan as the tables of a file, without what is at its default."""
    ffn_experts = question.traffic.mean_ffn_experts
    routing: dict[str, Any] = {"popularity": question.popularity, "zero_experts": question.zero_experts}
    if ffn_experts:
        routing["ffn_experts"] = {"kind": "fixed", "mean": ffn_experts}
    tables: dict[str, Any] = {
        "title": f"{question.title or question.name}: {plan.name}",
        "model": question.model,
        "machine": plan.machine,
        "seed": question.seed,
        **_pool(question, plan.decode, plan.n_decode),
        "routing": routing,
        "precision": _differing(plan.decode.family.precision),
        "model_overrides": dict(question.model_overrides),
        "machine_overrides": dict(question.machine_overrides),
    }
    tables["serving"] |= {"backend": question.search.backend, "router": "least_loaded"}
    if plan.prefill:
        pool = _pool(question, plan.prefill, plan.n_prefill)
        pool["precision"] = _differing(plan.prefill.family.precision)
        tables["prefill_pool"] = pool
    return {key: value for key, value in tables.items() if value not in ({}, 0)}


def scenario_of_plan(question: Question, plan: Plan) -> Scenario:
    """Return the checked scenario of a plan."""
    return build_scenario({"name": question.name, **tables_of(question, plan)})


def _pool(question: Question, point: Point, n_replicas: int) -> dict[str, Any]:
    family = point.family
    blocks = {} if question.traffic.trace else {"block_tokens": BLOCK_TOKENS}
    serving: dict[str, Any] = {"n_replicas": n_replicas, "max_batched_tokens": family.prefill_tokens, **blocks}
    if family.role != "prefill":
        serving["max_num_seqs"] = point.most_sequences
    pool: dict[str, Any] = {
        "n_gpus": family.n_gpus, "schedule": family.schedule, "layout": _layout(family), "serving": serving,
        "mtp": {"n_draft": family.n_draft, "acceptance": list(question.traffic.mean_acceptance[: family.n_draft])},
    }  # fmt: skip
    if family.schedule == "prefill_pairs":
        pool |= {"phase": "prefill", "batch": {"prompt_tokens": family.prefill_tokens}}
    return pool


def _layout(family: Family) -> dict[str, Any]:
    layout = family.layout
    wanted = ("attention_tp", "dense_tp", "ep", "moe_tp", "tp_tokens", "expert_placement", "n_redundant_experts")
    return {name: getattr(layout, name) for name in wanted}


def _differing(word: str) -> dict[str, str]:
    own, usual = PRECISIONS[word], PRECISIONS["fp8"]
    return {name: getattr(own, name) for name in own.__dataclass_fields__ if getattr(own, name) != getattr(usual, name)}


def toml_of(tables: Mapping[str, Any]) -> str:
    """Return the tables as TOML: single values first, then a table to each line."""
    single = [f"{key} = {_value(value)}" for key, value in tables.items() if not _is_deep(value)]
    deep = [
        f"\n[{key}]\n" + "\n".join(f"{name} = {_value(item)}" for name, item in value.items())
        for key, value in tables.items()
        if _is_deep(value)
    ]
    return "\n".join([*single, *deep]) + "\n"


def _is_deep(value: object) -> bool:
    return isinstance(value, Mapping) and any(isinstance(item, Mapping) for item in value.values())


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() else f'"{key}"'
