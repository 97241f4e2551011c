"""From a folder that `longsim measure` wrote to a profile: fit, what was learned, how well the curves stand."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hw_profiles.faults import Fault, InputFaults, unknown_word
from hw_profiles.loader import list_profiles, load_profile
from hw_profiles.schema import HardwareProfile
from simulator.report.residuals import Residuals
from validation.machine_fit import HELD_OUT_SUITES, GroupFit, MachineFit, fit_machine
from validation.measurements import META_FILE, TABLE_FILE, Measurement, read_measurements, read_meta, shape_text
from validation.own_machine import Learned, lanes_of, learned_figures, write_own_profile

RESIDUALS_FILE = "residuals.html"
HELD_OUT_KEY = "held_out"  # in meta.json: this folder judges, it is never fitted on
WORST_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class OwnCalibration:
    """One calibration: the rows read, what they say, and what of it changes the datasheet of `base`."""

    base: str
    rows: Sequence[Measurement]
    fit: MachineFit
    learned: Sequence[Learned]
    reference: str
    sources: Mapping[str, str]

    def write(self, out: Path) -> Path:
        """Write the profile directory."""
        return write_own_profile(
            self.fit, list(self.learned), base=self.base, reference=self.reference, sources=self.sources, out=out
        )

    @property
    def document(self) -> dict[str, Any]:
        """What `calibrate --json` prints."""
        curves = [
            {
                "name": name, "n_rows": len(group.rows), "n_marked": group.n_marked, **vars(group.curve.curve),
                "median_error": float(np.median(np.abs(np.expm1(group.log_errors)))),
                "judged_on": "rows left out" if group.unseen else "the rows it was fitted on",
            }
            for name, group in self.fit.groups.items()
        ]  # fmt: skip
        notes = [f"not fitted, too few rows or amounts that nobody counted: {', '.join(self.fit.not_fitted)}"]
        return {
            "machine": self.base, "device": self.fit.device, "learned": [vars(item) for item in self.learned],
            "curves": curves, "pace_kept": dict(self.fit.pace_kept), "launch_s": dict(self.fit.launch_s),
            "notes": notes if self.fit.not_fitted else [],
        }  # fmt: skip


def calibrate_own(folder: Path, machine: str) -> OwnCalibration:
    """Return what the measurements in `folder` make of shipped machine `machine`.

    InputFaults for a machine that does not ship or is of another kind (GPU or processor), a folder without rows to fit,
    one that is marked held-out, or a machine whose datasheet the measurements exceed.
    """
    if machine not in list_profiles():
        raise InputFaults([unknown_word("--machine", machine, list_profiles())])
    rows, meta = read_measurements(folder), read_meta(folder)
    if not rows:
        got = f"{str(folder)!r}, which holds no {TABLE_FILE} with rows"
        raise InputFaults([Fault(field="MEASURED", got=got, allowed="a folder that `longsim measure` wrote",
                                 remedy="measure into it first")])  # fmt: skip
    if meta.get(HELD_OUT_KEY) or {row.suite for row in rows} <= HELD_OUT_SUITES:
        remedy = "fit on kernels (--suite quick or full), judge with `validate layers`"
        raise InputFaults([Fault(field="MEASURED", got=f"{str(folder)!r}, which is held out",
                                 allowed="measurements that no prediction is judged by", remedy=remedy)])  # fmt: skip
    profile, run = load_profile(machine), (meta.get("runs") or [{}])[-1]
    check_kind(profile, "cuda" if "cuda" in run else "cpu")
    fit = fit_machine(rows)
    learned = [*learned_figures(fit, profile), *lanes_of(profile, run)]
    sources = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
               for name in (TABLE_FILE, META_FILE) if (folder / name).is_file()}  # fmt: skip
    return OwnCalibration(
        base=machine, rows=rows, fit=fit, learned=learned, reference=_reference(fit, meta), sources=sources
    )


def check_kind(profile: HardwareProfile, measured: str) -> None:
    """Raise InputFaults where a processor ("cpu") was measured and `profile` is a GPU, or the other way round ("cuda"):
    what is slower than a datasheet would pass for it."""
    if (profile.device.kind == "cpu") != (measured == "cpu"):
        kind = "a processor" if measured == "cpu" else "a GPU"
        raise InputFaults([Fault(field="--machine", got=f"{profile.name!r} for what was measured on {kind}",
                                 allowed=f"a machine that is {kind}", remedy="see `longsim machines`")])  # fmt: skip


def _reference(fit: MachineFit, meta: Mapping[str, Any]) -> str:
    run = (meta.get("runs") or [{}])[-1]
    words = [fit.device, f"torch {run['torch']}" if "torch" in run else "", str(run.get("date", "")),
             str(run.get("command", ""))]  # fmt: skip
    return ", ".join(word for word in words if word)


def residuals_of_own(found: OwnCalibration) -> Residuals:
    """Return the rows beside their curves as the residual page takes them."""
    frame = pd.DataFrame([row for name, group in found.fit.groups.items() for row in _judged(name, group)])
    groups = [_summary(str(name), rows) for name, rows in frame.groupby("group", sort=True)]
    worst = frame.reindex(frame["error"].abs().sort_values(ascending=False).index).head(WORST_SHOWN)
    median = float(frame["error"].abs().median())
    figures = [("median error", f"{median:.1%}"), ("rows", f"{len(frame):,}"), ("curves", str(len(groups)))]
    sentences = [f"Fitted on {found.reference}."]
    return Residuals(rows=frame, groups=groups, worst=worst.to_dict("records"), figures=figures, sentences=sentences)  # type: ignore[arg-type]


def _judged(name: str, group: GroupFit) -> list[dict[str, Any]]:
    return [
        {"table": name.partition("|")[0].partition("/")[0], "group": name, "system": row.device,
         "shape": shape_text(row.shape), "measured_s": row.median_s, "predicted_s": float(seconds),
         "error": float(seconds) / row.median_s - 1.0, "extrapolated": False, "unseen": group.unseen}
        for row, seconds in zip(group.rows, group.predicted_s, strict=True)
    ]  # fmt: skip


def _summary(name: str, rows: pd.DataFrame) -> dict[str, Any]:
    size = rows["error"].abs()
    return {
        "table": str(rows["table"].iloc[0]), "group": name, "split": "left out" if rows["unseen"].all() else "fitted",
        "n": len(rows), "median": float(size.median()), "p90": float(size.quantile(0.9)),
        "bias": float(rows["error"].median()), "baseline_median": None, "extrapolated": 0, "refused": 0, "ok": None,
        "bar": {},
    }  # fmt: skip
