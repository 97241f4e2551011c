"""Fitted constants of serving runs (published/serving_constants.toml) and the links of a GPU's machine."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw_profiles.loader import load_profile
from hw_profiles.schema import HardwareProfile
from validation.serving.lines import Line

_FILE = Path(__file__).parents[1] / "published" / "serving_constants.toml"


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """`prompt_step_s`: each step with prompt tokens beyond its kernels [s]; `long_decode_share`: see TableStepTimes;
    `fitted_on`: the run that both come from."""

    prompt_step_s: float
    long_decode_share: float
    fitted_on: str = ""


@dataclass(frozen=True, kw_only=True)
class Link:
    """Between ranks of a node: seconds over the bytes that a collective moves each way per link; where from, and the
    run on which they were fitted."""

    seconds: Line
    source: str
    fitted_on: str = ""

    def all_reduce_s(self, n_bytes: float, n_ranks: int) -> float:
        """Return the seconds of an all-reduce of `n_bytes` per rank: 2 (R - 1) / R of them cross each link."""
        return self.seconds.at(2.0 * (n_ranks - 1) / n_ranks * n_bytes)

    def all_gather_s(self, n_bytes: float, n_ranks: int) -> float:
        """Return the seconds in which every rank gets `n_bytes` of each other; a reduce-scatter takes the same."""
        return self.seconds.at((n_ranks - 1) * n_bytes)


def overhead() -> Overhead:
    """Return the overheads, the same for every run."""
    return Overhead(**_read()["overhead"])


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """What step times and KV room need of a GPU, 0 where unknown; the profile of its machine where there is one."""

    n_sms: int = 0
    hbm_bytes: float = 0.0
    machine: HardwareProfile | None = None


def gpu_of(name: str, machine: str = "") -> Gpu:
    """Return the GPU of a named machine, else what is known under the name of the GPU."""
    known = _read().get(name, {})
    if profile_name := machine or known.get("machine", ""):
        profile = load_profile(profile_name)
        return Gpu(n_sms=profile.device.n_sms, hbm_bytes=profile.device.hbm_bytes, machine=profile)
    return Gpu(n_sms=known.get("n_sms", 0), hbm_bytes=known.get("hbm_bytes", 0.0))


def link_of(gpu: str, machine: HardwareProfile | None) -> Link | None:
    """Return the fitted link of this GPU, else that inside a node of the machine's profile; None for neither."""
    fitted = _read().get(gpu, {})
    if "link_bytes" in fitted:
        line = Line(xs=fitted["link_bytes"], seconds=fitted["link_s"])
        return Link(seconds=line, source="fitted", fitted_on=fitted["link_fitted_on"])
    if machine is None:
        return None
    tier = next(iter(machine.tiers.values()))
    rate = tier.bytes_per_s * tier.efficiency
    return Link(seconds=Line(xs=[0.0, rate], seconds=[tier.latency_s, tier.latency_s + 1.0]), source=machine.name)


def _read() -> Mapping[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))
