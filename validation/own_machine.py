"""A profile directory from own measurements: a machine's datasheet with the figures that were reached here."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from hw_profiles.curves.interference import Interference
from hw_profiles.curves.records import to_record
from hw_profiles.faults import Fault, InputFaults
from hw_profiles.fitted import FITTED_FILE
from hw_profiles.loader import PROFILE_FILE
from hw_profiles.provenance import value_at
from hw_profiles.schema import HardwareProfile
from simulator.report.replacing import replacing
from validation.calibrate import PROFILES_DIR
from validation.machine_fit import FAMILY, GroupFit, MachineFit

SOURCE = "measured_here"
FITTED_KERNELS = ("gemm", "grouped_gemm", "attention_decode", "attention_prefill")  # families with an efficiency
TOLERATED = 1.05  # a clock above its nominal value; beyond that the machine is another one
SIGNIFICANT_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class Learned:
    """One figure of the profile that was measured: dotted path, value, the datasheet's value, and in words of what."""

    path: str
    value: float
    before: float
    note: str


def learned_figures(fit: MachineFit, profile: HardwareProfile) -> list[Learned]:
    """Return what the measurements say of the profile's own figures.

    Where a rate lies above a datasheet that is only assumed, the datasheet moves; above a real one by more than 5 % it
    is another machine: InputFaults.
    """
    rates = list(_rates(fit, profile))
    peaks = _moved_peaks(rates, profile)
    shares, faults = [], []
    for share_path, peak_path, reached, note in rates:
        peak = peaks[peak_path].value if peak_path in peaks else _value(profile, peak_path)
        if reached > TOLERATED * peak:
            faults.append(Fault(field="--machine", got=f"{profile.name}, but {note} reached {reached:.4g}",
                                allowed=f"a machine with {peak_path} of at least that, not {peak:.4g}",
                                remedy="name the machine that was measured"))  # fmt: skip
        value, before = min(1.0, reached / peak), _value(profile, share_path)
        shares.append(Learned(path=share_path, value=value, before=before, note=note))
    if faults:
        raise InputFaults(faults)
    return [*peaks.values(), *shares, *_latencies(fit, profile)]


def lanes_of(profile: HardwareProfile, run: Mapping[str, Any]) -> list[Learned]:
    """Return how many kernels the cores of one rank run side by side; nothing for a GPU, or where nobody wrote it."""
    if profile.device.kind != "cpu" or "n_usable_cores" not in run:
        return []
    n_lanes = max(1, int(run["n_usable_cores"]) // max(1, int(run["n_threads"])))
    before = float(profile.device.n_sms)
    return [Learned(path="device.n_sms", value=n_lanes, before=before, note="usable cores over threads of a kernel")]


def write_own_profile(
    fit: MachineFit, learned: list[Learned], *, base: str, reference: str, sources: Mapping[str, str], out: Path
) -> Path:
    """Write `out`: the profile of machine `base` with the `learned` figures, and its curves with those of `fit`.

    `reference`: the sentence that stands as source of every measured figure. Raises InputFaults for an `out` inside
    the shipped data, OSError where it cannot be written.
    """
    if PROFILES_DIR.resolve() in (out.resolve(), *out.resolve().parents):
        raise InputFaults([Fault(field="--out", got=repr(str(out)), allowed="a directory of yours",
                                 remedy="shipped profiles are made with the repository's own tools")])  # fmt: skip
    text = _profile_text(base, learned, name=out.name, title=f"{fit.device}, measured", reference=reference)
    shipped = PROFILES_DIR / base / FITTED_FILE
    content = json.loads(shipped.read_text(encoding="utf-8")) if shipped.is_file() else {"sources": {}, "families": {}}
    content["families"][FAMILY] = {name: _record(group) for name, group in fit.groups.items()}
    if beside := interference_of(fit):
        content["families"].setdefault("interference", {})[FAMILY] = to_record(beside)
    content["pace_kept"] = dict(fit.pace_kept)
    content["sources"] |= sources
    content["command"] = "longsim calibrate"
    out.mkdir(parents=True, exist_ok=True)
    for file_name, body in (
        (PROFILE_FILE, text),
        (FITTED_FILE, json.dumps(content, indent=1, sort_keys=True) + "\n"),
    ):
        with replacing(out / file_name) as file:
            file.write(body)
    return out


def interference_of(fit: MachineFit) -> Interference | None:
    """Return the pace that products and collectives keep beside one another; None where neither side was measured."""
    product, transfer = (
        [kept for name, kept in fit.pace_kept.items() if name.startswith(f"{op}|")]
        for op in ("gemm_beside.collective", "collective_beside.gemm")
    )
    if not product or not transfer:
        return None
    share = _rounded(min(transfer))
    return Interference(dispatch_share=share, combine_share=share, gemm_share=_rounded(min(product)))


def _rates(fit: MachineFit, profile: HardwareProfile) -> Iterator[tuple[str, str, float, str]]:
    """Yield (path of the share, path of the peak, rate reached, what reached it)."""
    if fit.memory_bytes_per_s:
        yield "efficiency.hbm", "device.hbm_bytes_per_s", fit.memory_bytes_per_s, "copies on the device"
    for kernel in FITTED_KERNELS:
        for dtype in getattr(profile.efficiency, kernel):
            rate = fit.flops_per_s(kernel, dtype)
            if rate:
                yield f"efficiency.{kernel}.{dtype}", f"device.peak_flops_per_s.{dtype}", rate, f"{kernel} in {dtype}"
    tier, group = _all_to_all(fit, profile)
    if group and group.curve.curve.bytes_per_s:
        yield f"tiers.{tier}.efficiency", f"tiers.{tier}.bytes_per_s", group.curve.curve.bytes_per_s, "all-to-alls"


def _all_to_all(fit: MachineFit, profile: HardwareProfile) -> tuple[str, GroupFit | None]:
    """The all-to-all over the most ranks, and the tier that it crosses."""
    by_ranks = {
        int(name.rpartition("|r")[2]): group for name, group in fit.groups.items() if name.startswith("all_to_all|")
    }
    if not by_ranks:
        return "nic", None
    n_ranks = max(by_ranks)
    return "nvlink" if n_ranks <= profile.node.n_devices else "nic", by_ranks[n_ranks]


def _moved_peaks(rates: Sequence[tuple[str, str, float, str]], profile: HardwareProfile) -> dict[str, Learned]:
    """Peaks that were assumed and that something exceeded, at the highest rate reached."""
    moved: dict[str, Learned] = {}
    for _, path, reached, note in sorted(rates, key=lambda rate: rate[2]):
        before = _value(profile, path)
        if reached > before and profile.provenance[path].source == "assumed":
            moved[path] = Learned(path=path, value=reached, before=before, note=note)
    return moved


def _latencies(fit: MachineFit, profile: HardwareProfile) -> Iterator[Learned]:
    for way, seconds in fit.launch_s.items():
        path = f"launch.{way}_gap_s"
        yield Learned(path=path, value=seconds, before=_value(profile, path), note=f"launches, {way}")
    tier, group = _all_to_all(fit, profile)
    if group:
        path = f"tiers.{tier}.latency_s"
        floor_s = group.curve.curve.floor_s
        yield Learned(path=path, value=floor_s, before=_value(profile, path), note="smallest all-to-alls")


def _profile_text(base: str, learned: list[Learned], *, name: str, title: str, reference: str) -> str:
    document = tomlkit.parse((PROFILES_DIR / base / PROFILE_FILE).read_text(encoding="utf-8"))
    document["name"], document["title"] = name, title
    source = tomlkit.table()
    source.update({"source": "measured", "reference": reference})
    sources: Any = document["sources"]
    sources[SOURCE] = source
    for item in learned:
        *tables, key = item.path.split(".")
        table: Any = document
        for part in tables:
            table = table[part]
        entry = tomlkit.inline_table()
        entry.update(
            {
                "value": item.value if isinstance(item.value, int) else _rounded(item.value),
                "from": SOURCE,
                "note": item.note,
            }
        )
        table[key] = entry
    return tomlkit.dumps(document)


def _record(group: GroupFit) -> dict[str, Any]:
    low, high = group.curve.residual_log_10_90
    return to_record(group.curve.curve) | {
        "residual_log_10_90": [_rounded(low), _rounded(high)],
        "range": {axis: list(bounds) for axis, bounds in group.curve.ranges.items()},
        "n_rows": len(group.rows),
        "n_marked": group.n_marked,
        "unseen": group.unseen,
    }


def _value(profile: HardwareProfile, path: str) -> float:
    return float(value_at(profile, path))


def _rounded(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
