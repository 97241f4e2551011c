"""Does a model's specification make sense? For models that a scenario has changed."""

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass

from hw_profiles.faults import Fault
from workloads.model import ModelSpec, MoeSpec

_MAY_BE_ZERO = {
    "n_dense_layers", "dense_ffn", "attention.q_lora_rank", "moe.n_zero_experts", "moe.n_shared_experts",
    "moe.shared_ffn", "mtp.n_layers", "shortcut", "indexer.n_initial", "indexer.n_local",
}  # fmt: skip
_LARGEST = 10**8


def check_for_impossible_model(model: ModelSpec) -> Iterable[Fault]:
    """Sizes that are no sizes, more picks than experts, more dense layers than layers."""
    moe = model.moe
    for path, value in _numbers(model, ""):
        low = 0 if path in _MAY_BE_ZERO or (path.startswith("moe.") and not moe.n_routed_experts) else 1
        if path != "moe.mean_ffn_experts" and not low <= value <= _LARGEST:
            yield _fault(path, value, f"{low} to {_LARGEST}", "write a size that a model can have")
    if moe.top_k > moe.n_routed_experts:
        yield _fault("moe.top_k", moe.top_k, f"up to moe.n_routed_experts, {moe.n_routed_experts}", "lower it")
    yield from _impossible_groups(moe)
    if not 0.0 <= moe.mean_ffn_experts <= moe.top_k:
        allowed = f"0 to moe.top_k, {moe.top_k}"
        yield _fault("moe.mean_ffn_experts", moe.mean_ffn_experts, allowed, "set it together with moe.top_k")
    yield from _check_indexer(model)
    most = 0 if model.block == "scmoe" else max(0, model.n_layers - 1)
    if moe.n_routed_experts and model.n_dense_layers > most:
        allowed = f"0 to {most} ({model.n_layers} layers, block {model.block!r})"
        yield _fault("n_dense_layers", model.n_dense_layers, allowed, "lower it")


def _impossible_groups(moe: MoeSpec) -> Iterator[Fault]:
    groups, limited = moe.n_expert_groups, moe.n_limited_groups
    if groups < 1 or moe.n_routed_experts % groups:
        allowed = f"1 or more, dividing moe.n_routed_experts, {moe.n_routed_experts}"
        yield _fault("moe.n_expert_groups", groups, allowed, "set it together with moe.n_limited_groups")
    elif not 1 <= limited <= groups or (moe.group_limited and limited * moe.n_routed_experts < groups * moe.top_k):
        allowed = f"1 to moe.n_expert_groups, {groups}, with room for moe.top_k, {moe.top_k}"
        yield _fault("moe.n_limited_groups", limited, allowed, "raise it")
    if moe.group_limited and moe.n_zero_experts:
        yield _fault("moe.n_limited_groups", limited, "no limit beside zero experts", "set it to moe.n_expert_groups")


def _check_indexer(model: ModelSpec) -> Iterable[Fault]:
    """An indexer that more attentions share than a layer has, or that has to read more than it may."""
    if model.indexer is None:
        return
    n, forced = model.attentions_per_layer, model.indexer.n_initial + model.indexer.n_local
    if model.indexer.sharing > n:
        yield _fault("indexer.sharing", model.indexer.sharing, f"1 to {n} (attentions of a layer)", "lower it")
    if forced > model.indexer.top_k:
        yield _fault("indexer.top_k", model.indexer.top_k, f"at least {forced} (n_initial + n_local)", "raise it")


def _fault(path: str, value: float, allowed: str, remedy: str) -> Fault:
    return Fault(field=f"model_overrides.{path}", got=f"{value:g}", allowed=allowed, remedy=remedy)


def _numbers(record: object, prefix: str) -> Iterator[tuple[str, float]]:
    assert is_dataclass(record)
    for item in fields(record):
        value, path = getattr(record, item.name), prefix + item.name
        if is_dataclass(value):
            yield from _numbers(value, f"{path}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield path, value
