"""Settings of a serving backend's scheduler, and presets that take them from a backend's documentation."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter

from hw_profiles.faults import Fault, InputFaults, unknown_word
from hw_profiles.shape import validate_shape
from simulator.serving.router import RouterName

_SHIPPED = Path(__file__).parent / "presets"


@dataclass(frozen=True, kw_only=True)
class BackendKnobs:
    """Every setting of one scheduler. Of a replica with data-parallel attention each attention group has its own.

    `name`, `version`: the backend, and the version of it whose defaults these are. `max_num_seqs`: sequences that run
    at once. `max_queue`: requests that wait at a replica; the next one is rejected (SGLang's max_queued_requests); 0:
    no limit. `max_batched_tokens`: new tokens of one step, decodes included where `mixed_steps`. `chunked_prefill`: a
    prompt may be cut at the budget; otherwise it enters whole, over the budget only when alone. `mixed_steps`:
    prompts share a step with decodes (vLLM); otherwise a step of prompts goes first and decodes wait (SGLang).
    `block_tokens`: tokens of one KV block. `kv_blocks`: blocks of one attention group; 0: what `gpu_memory_share` of
    the device leaves beside weights and, unless that share is `memory_share_of` "weights_and_kv" alone, activations
    and buffers.

    Admission. `policy`: which waiting request goes first; `group_router`: how a replica's attention groups share
    its requests. `whole_prompt_fits`: a prompt enters where all of it
    has room, not its first chunk alone. `watermark`: share of the blocks that admission leaves free.
    `reserved_output_share`: share of the tokens still to come of running sequences for which it keeps room,
    each reckoned with `reserved_output_cap` at most; the share falls within `reserve_decay_steps` decode steps
    to `reserved_share_floor` of itself, and is set anew by preemption, to what is out of the answers with
    `reserve_ahead_steps` tokens more. `admits_after_end`: once a request found no room, nobody enters before
    somebody leaves. `prefix_caching`: blocks of earlier prompts are used again, `prefix_known` when their step
    is "scheduled" (also by others in that step) or "computed".

    Preemption. `preemption`: "recompute" the cache of a preempted sequence, or "swap" it to the host and back
    at `swap_bytes_per_s` (per GPU). `preempted_first`: the "latest" to be admitted, or the one with
    "fewest_output" tokens. `preempted_wait`: at the "front" of the queue or at its "back".

    Host. `steps_per_schedule`: decode steps that an iteration of the scheduler launches at once; it looks again when
    all of them have run, and a step with prompts is an iteration of its own. `scheduler_overhead_s`: host time per
    iteration, hidden behind the one before where `async_scheduling`, which puts an iteration together while
    another runs; `sampling_overhead_s` per step and `sequence_overhead_s` per step and running sequence are never
    hidden.
    """

    name: str = "vllm"
    version: str = ""
    max_num_seqs: int = 256
    max_queue: int = 0
    max_batched_tokens: int = 8192
    chunked_prefill: bool = True
    mixed_steps: bool = True
    block_tokens: int = 16
    kv_blocks: int = 0
    gpu_memory_share: float = 0.9
    memory_share_of: Literal["all", "weights_and_kv"] = "all"
    policy: Literal["fcfs", "lcfs", "shortest_prompt"] = "fcfs"
    whole_prompt_fits: bool = False
    watermark: float = 0.0
    reserved_output_share: float = 0.0
    reserved_share_floor: float = 1.0
    reserve_decay_steps: int = 1
    reserved_output_cap: int = 4096
    reserve_ahead_steps: int = 0
    admits_after_end: bool = False
    prefix_caching: bool = True
    prefix_known: Literal["scheduled", "computed"] = "scheduled"
    preemption: Literal["recompute", "swap"] = "recompute"
    swap_bytes_per_s: float = 25e9
    preempted_first: Literal["latest", "fewest_output"] = "latest"
    preempted_wait: Literal["front", "back"] = "front"
    group_router: RouterName = "fewest_waiting"
    steps_per_schedule: int = 1
    scheduler_overhead_s: float = 0.0
    sampling_overhead_s: float = 0.0
    sequence_overhead_s: float = 0.0
    async_scheduling: bool = False
    sources: Mapping[str, str] = field(default_factory=dict)


_ADAPTER = TypeAdapter(dict[str, BackendKnobs], config=ConfigDict(extra="forbid", strict=True))
_AT_LEAST_ONE = (
    "max_num_seqs",
    "max_batched_tokens",
    "block_tokens",
    "reserve_decay_steps",
    "reserved_output_cap",
    "steps_per_schedule",
)
_SHARES = ("gpu_memory_share", "watermark", "reserved_output_share", "reserved_share_floor")
_NOT_NEGATIVE = (
    "kv_blocks",
    "max_queue",
    "reserve_ahead_steps",
    "scheduler_overhead_s",
    "sampling_overhead_s",
    "sequence_overhead_s",
)


def list_presets() -> list[str]:
    """Return the names of the backend presets, sorted."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What a backend's defaults depend on: the GPU's name and memory [bytes], the attention groups of a replica."""

    gpu: str
    memory_bytes: float
    n_groups: int


def load_knobs(
    preset: str = "vllm", settings: Mapping[str, Any] | None = None, *, on: Deployed | None = None
) -> BackendKnobs:
    """Return the knobs of a preset, as its backend sets them `on` a deployment where that is known, with `settings` in
    place of its own; InputFaults names every fault."""
    if preset not in list_presets():
        raise InputFaults([unknown_word("serving.backend", preset, list_presets())])
    asked = dict(settings or {})
    if fixed := sorted({"name", "version", "sources"} & set(asked)):
        raise InputFaults([
            Fault(field=f"serving.{key}", got=repr(asked[key]), allowed=f"what the preset {preset} says",
                  remedy=f"choose a preset by serving.backend: {', '.join(list_presets())}") for key in fixed
        ])  # fmt: skip
    tables = _defaults(tomllib.loads((_SHIPPED / f"{preset}.toml").read_text(encoding="utf-8")), on)
    knobs, faults = validate_shape(_ADAPTER, {**tables, **asked}, _keys_of)
    faults = faults or list(_senseless(knobs))
    if knobs is None or faults:
        raise InputFaults([replace(fault, field=f"serving.{fault.field}") for fault in faults])
    return replace(knobs, sources={**knobs.sources, **dict.fromkeys(asked, "asked for")})


def _defaults(tables: dict[str, Any], on: Deployed | None) -> dict[str, Any]:
    """Return a preset's defaults on a deployment; without one those of the large device that it stands for."""
    devices, groups = tables.pop("device", []), tables.pop("several_groups", {})
    divided = groups.pop("divided_by_groups", [])
    if on is None:
        return tables
    fitting = (row for row in devices if _is_row_of(row, on))
    found = {**tables, **next(fitting, {})}
    if on.n_groups > 1:
        found |= groups | {key: max(1, found[key] // on.n_groups) for key in divided}
    return {key: value for key, value in found.items() if key not in ("below_gib", "gpu")}


def _is_row_of(row: Mapping[str, Any], on: Deployed) -> bool:
    return on.memory_bytes < row.get("below_gib", float("inf")) * 2**30 and row.get("gpu", "") in on.gpu.lower()


def _keys_of(section: str) -> Sequence[str]:
    return [] if section else [f.name for f in fields(BackendKnobs)]


def _senseless(knobs: BackendKnobs | None) -> list[Fault]:
    if knobs is None:
        return []
    bounds: dict[str, tuple[float, float, str]] = {
        **dict.fromkeys(_AT_LEAST_ONE, (1, float("inf"), "at least 1")),
        **dict.fromkeys(_SHARES, (0.0, 1.0, "0 to 1")),
        **dict.fromkeys(_NOT_NEGATIVE, (0.0, float("inf"), "0 or more")),
        "swap_bytes_per_s": (1.0, float("inf"), "above 0"),
    }
    return [
        Fault(field=name, got=str(value), allowed=allowed, remedy="write a value in this range")
        for name, (low, high, allowed) in bounds.items()
        if not low <= (value := getattr(knobs, name)) <= high
    ]
