"""A user's profile directory: a shipped machine's profile.toml beside a fitted.json of their own."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hw_profiles.curves.base import Chip
from hw_profiles.curves.records import from_record
from hw_profiles.faults import Fault, InputFaults, unknown_word
from hw_profiles.fitted import FITTED_FILE, load_fitted
from hw_profiles.loader import PROFILE_FILE, list_profiles, load_profile
from simulator.report.replacing import replacing
from validation.calibrate import PROFILES_DIR, Group, log_errors, sound

COMMAND = "longsim import"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """One fitted group and where it comes from: `tags` (engine, version), rows refused by reason, a few of them."""

    group: Group
    record: Mapping[str, Any]
    tags: Mapping[str, Any] = field(default_factory=dict)
    n_available: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    examples: Sequence[str] = ()


def known_machine(name: str) -> str:
    """Return `name` if that machine ships; raise InputFaults with the list otherwise."""
    if name not in list_profiles():
        raise InputFaults([unknown_word("machine", name, list_profiles())])
    return name


def chip_of_machine(name: str) -> Chip:
    """Return the datasheet limits of a shipped machine, as curves take them."""
    profile = load_profile(name)
    tiers = profile.tiers
    nvlink = tiers["nvlink"] if "nvlink" in tiers else next(iter(tiers.values()))
    return Chip(
        n_sms=profile.device.n_sms, hbm_bytes_per_s=profile.device.hbm_bytes_per_s,
        peak_flops_per_s=profile.device.peak_flops_per_s, nvlink_bytes_per_s=nvlink.bytes_per_s,
        nic_bytes_per_s=tiers["nic"].bytes_per_s if "nic" in tiers else nvlink.bytes_per_s,
    )  # fmt: skip


def shipped_content(machine: str) -> dict[str, Any]:
    """Return the machine's shipped fitted.json, without any family where none ships."""
    path = PROFILES_DIR / machine / FITTED_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"sources": {}, "families": {}}


def write_user_profile(machine: str, imported: Sequence[Imported], sources: Mapping[str, str], out: Path) -> Path:
    """Write `out`: the machine's profile.toml and its fitted.json with the imported groups in place of the shipped.

    Raises InputFaults for an `out` inside the shipped data, OSError where it cannot be written. An existing fitted.json
    of the user's keeps its other groups.
    """
    if PROFILES_DIR.resolve() in (out.resolve(), *out.resolve().parents):
        raise InputFaults([Fault(field="--out", got=repr(str(out)), allowed="a directory of yours",
                                 remedy="what ships is fitted from the published tables alone")])  # fmt: skip
    old = out / FITTED_FILE
    load_fitted(old)  # a file that is no such thing is refused, not replaced
    content = json.loads(old.read_text(encoding="utf-8")) if old.is_file() else shipped_content(machine)
    for item in imported:
        groups = content["families"].setdefault(item.group.family.name, {})
        groups[item.group.name] = {**item.record, **item.tags, "n_rows_available": item.n_available}
    content["sources"] |= sources
    content["command"] = COMMAND
    out.mkdir(parents=True, exist_ok=True)
    if not (out / PROFILE_FILE).exists():
        shutil.copyfile(PROFILES_DIR / machine / PROFILE_FILE, out / PROFILE_FILE)
    with replacing(old) as file:
        file.write(json.dumps(content, indent=1, sort_keys=True) + "\n")
    return out


def change_of(item: Imported) -> dict[str, Any]:
    """Return what an import changes: errors of its own rows before (the shipped curve, None without one) and after."""
    group = item.group
    before = shipped_content(group.machine)["families"].get(group.family.name, {}).get(group.name)
    return {
        "family": group.family.name, "group": group.name, **item.tags, "rows": int(item.record["n_rows"]),
        "rows_available": item.n_available, "median_before": _median_error(group, before) if before else None,
        "median_after": _median_error(group, item.record), "refused": dict(item.refused),
        "refused_rows": list(item.examples),
    }  # fmt: skip


def _median_error(group: Group, record: Mapping[str, Any]) -> float:
    errors = np.exp(log_errors(group, sound(group.rows), from_record(record))) - 1.0
    return float(np.median(np.abs(errors)))
