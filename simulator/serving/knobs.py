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

    `max_num_seqs`: sequences that run at once. `max_batched_tokens`: new tokens of one step, decodes included where
    `mixed_steps`. `chunked_prefill`: a prompt may be cut at the budget; otherwise it enters whole, over the budget only
    when alone. `mixed_steps`: prompts share a step with decodes (vLLM); otherwise a step of prompts goes first and
    decodes wait (SGLang). `block_tokens`: tokens of one KV block. `kv_blocks`: blocks of one attention group; 0: what
    `gpu_memory_share` of the device leaves beside weights and activations. `watermark`: share of the blocks that
    admission leaves free. `reserved_output_share`: share of the tokens still to come of running sequences for which
    admission keeps room. `preemption`: "recompute" the cache of a preempted sequence, or "swap" it to the host and back
    at `swap_bytes_per_s` (per GPU). `prefix_caching`: blocks of earlier prompts are used again. `policy`: which waiting
    request goes first; `group_router`: how a replica's attention groups share its requests. `scheduler_overhead_s`:
    host time per step, hidden behind the step before where `async_scheduling`; `sampling_overhead_s` per step and
    `sequence_overhead_s` per running sequence are never hidden.
    """

    name: str = "vllm"
    version: str = ""
    max_num_seqs: int = 256
    max_batched_tokens: int = 8192
    chunked_prefill: bool = True
    mixed_steps: bool = True
    block_tokens: int = 16
    kv_blocks: int = 0
    gpu_memory_share: float = 0.9
    watermark: float = 0.0
    reserved_output_share: float = 0.0
    preemption: Literal["recompute", "swap"] = "recompute"
    swap_bytes_per_s: float = 25e9
    prefix_caching: bool = True
    policy: Literal["fcfs", "lcfs", "shortest_prompt"] = "fcfs"
    group_router: RouterName = "fewest_waiting"
    scheduler_overhead_s: float = 0.0
    sampling_overhead_s: float = 0.0
    sequence_overhead_s: float = 0.0
    async_scheduling: bool = False
    sources: Mapping[str, str] = field(default_factory=dict)


_ADAPTER = TypeAdapter(dict[str, BackendKnobs], config=ConfigDict(extra="forbid", strict=True))
_AT_LEAST_ONE = ("max_num_seqs", "max_batched_tokens", "block_tokens")
_SHARES = ("gpu_memory_share", "watermark", "reserved_output_share")
_NOT_NEGATIVE = ("kv_blocks", "scheduler_overhead_s", "sampling_overhead_s", "sequence_overhead_s")


def list_presets() -> list[str]:
    """Return the names of the backend presets, sorted."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def load_knobs(preset: str = "vllm", settings: Mapping[str, Any] | None = None) -> BackendKnobs:
    """Return the knobs of a preset with `settings` in place of its own; InputFaults names every fault."""
    if preset not in list_presets():
        raise InputFaults([unknown_word("backend", preset, list_presets())])
    tables = tomllib.loads((_SHIPPED / f"{preset}.toml").read_text(encoding="utf-8"))
    knobs, faults = validate_shape(_ADAPTER, {**tables, **(settings or {})}, _keys_of)
    faults = faults or list(_senseless(knobs))
    if knobs is None or faults:
        raise InputFaults([replace(fault, field=f"serving.{fault.field}") for fault in faults])
    asked = dict.fromkeys(settings or {}, "asked for")
    return replace(knobs, sources={**knobs.sources, **asked})


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
