"""Fitted constants of serving runs (published/serving_constants.toml) and the links of a GPU's machine."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw_profiles.loader import load_profile
from hw_profiles.schema import HardwareProfile

_FILE = Path(__file__).parents[1] / "published" / "serving_constants.toml"


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """`prompt_step_s`: each step with prompt tokens beyond its kernels [s]; `long_decode_share`: see TableStepTimes."""

    prompt_step_s: float
    long_decode_share: float


@dataclass(frozen=True, kw_only=True)
class Link:
    """Between two ranks of a node: seconds of n bytes each way are `latency_s` + n / `bytes_per_s`; where from."""

    latency_s: float
    bytes_per_s: float
    source: str

    def all_reduce_s(self, n_bytes: float, n_ranks: int) -> float:
        """Return the seconds of an all-reduce of `n_bytes` per rank: 2 (R - 1) / R of them cross each link."""
        return self.latency_s + 2.0 * (n_ranks - 1) / n_ranks * n_bytes / self.bytes_per_s

    def all_gather_s(self, n_bytes: float, n_ranks: int) -> float:
        """Return the seconds in which every rank gets `n_bytes` of each other; a reduce-scatter takes the same."""
        return self.latency_s + (n_ranks - 1) * n_bytes / self.bytes_per_s


def overhead() -> Overhead:
    """Return the overheads, the same for every run."""
    return Overhead(**_read()["overhead"])


def machine_of(gpu: str, machine: str = "") -> HardwareProfile | None:
    """Return the profile of a named machine, else of the one that holds this GPU; None where none is known."""
    name = machine or _read().get(gpu, {}).get("machine", "")
    return load_profile(name) if name else None


def link_of(gpu: str, machine: HardwareProfile | None) -> Link | None:
    """Return the fitted link of this GPU, else that of the machine's profile inside a node; None where none is known."""
    fitted = _read().get(gpu, {})
    if "link_bytes_per_s" in fitted:
        return Link(latency_s=fitted["link_latency_s"], bytes_per_s=fitted["link_bytes_per_s"], source="fitted")
    if machine is None:
        return None
    tier = next(iter(machine.tiers.values()))
    return Link(latency_s=tier.latency_s, bytes_per_s=tier.bytes_per_s * tier.efficiency, source=machine.name)


def _read() -> Mapping[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))
