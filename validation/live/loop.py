"""The whole loop on this machine: measure kernels, calibrate, predict whole layers, run them, compare.

Predictions are on disk before the first layer runs.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pandas as pd

from hw_profiles.curves.kernel import kernel_s
from hw_profiles.faults import Fault, InputFaults, unknown_word
from hw_profiles.loader import list_profiles, load_profile
from simulator.report.replacing import replacing
from validation.calibrate_own import OwnCalibration, calibrate_own, check_kind
from validation.layer_predictions import Target, compared, predict_layer_s, spec_of, target_of
from validation.live.links import Host, link_rate, network
from validation.live.processes import Launch, run_ranks
from validation.machine_fit import amounts
from validation.measure.command import DEVICES
from validation.measure.environment import count_gpus
from validation.measure.layers import points, policies
from validation.measure.sizes import sizes_of
from validation.measurements import TABLE_FILE, Measurement, read_measurements, read_meta, shape_text
from workloads.model import ModelSpec

ORDERS = ("in_turn", "sbo", "two_stream")
PREDICTIONS_FILE, RUN_FILE = "predictions.json", "live.json"
NOT_OF_A_RUN = {"folder", "timeout_s"}  # options that a run may go on with changed
MOST_RANKS = 64
CPU_FRAME = "cpu_core"
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """What the user asked for: processes, the rate of the link between them (none: they share the loopback device),
    folder for everything, device, datasheet of the machine (CUDA), model by zoo name, share of its size (0: whole
    on CUDA, an eighth on a CPU) and routed experts per rank, seconds that one stage may take."""

    folder: Path
    n_ranks: int = 2
    link: str = ""
    device: str = "cpu"
    machine: str = ""
    model: str = "longcat_flash"
    share: float = 0.0
    experts: int = 8
    timeout_s: float = 600.0


@dataclass(frozen=True, kw_only=True)
class LiveRun:
    """What came out: the calibration, and one row per layer as `predicted_rows` has it, predicted before it ran.
    `drift`: what a product takes by turns with the layers over what it took when the kernels were measured."""

    calibration: OwnCalibration
    layers: pd.DataFrame
    drift: float
    folder: Path


def run_live(options: LiveOptions, say: Say) -> LiveRun:
    """Go through the loop in `options.folder`; `say` takes a line for every stage and from time to time in between.

    A run that was broken off goes on there. Raises InputFaults for options that cannot be or a folder that holds
    another run, RankFailedError where a rank ends badly or hangs, OSError where the folder cannot be written.
    """
    _check(options)
    kernels, layers, profile = (options.folder / name for name in ("kernels", "layers", "profile"))
    with _hosts(options) as hosts:
        _claim(options)
        say(f"1 of 4: measuring kernels and all-to-alls on {options.n_ranks} ranks")
        _measure(options, "live", kernels, hosts, say)
        say("2 of 4: calibrating")
        found = calibrate_own(kernels, options.machine or CPU_FRAME)
        found.write(profile)
        say("3 of 4: predicting whole layers")
        spec = spec_of(read_meta(kernels), str(kernels))
        device = found.rows[0].device
        planned = planned_rows(spec, options, dtype=_dtype(found.rows), device=device)
        predicted = _predict(planned, spec, target_of(str(profile)), options.folder)
        say(f"4 of 4: running {len(planned)} layers, sequential and overlapped, with zero experts and without")
        _measure(options, "live_layers", layers, hosts, say)
    rows = read_measurements(layers)
    return LiveRun(
        calibration=found, layers=_compared([row for row in rows if row.kernel == "layer"], predicted),
        drift=_drift(rows, found), folder=options.folder,
    )  # fmt: skip


def _hosts(options: LiveOptions) -> AbstractContextManager[list[Host]]:
    return network(options.n_ranks, link_rate(options.link)) if options.link else nullcontext([])


def planned_rows(spec: ModelSpec, options: LiveOptions, *, dtype: str, device: str) -> list[Measurement]:
    """Return the rows that the layers will have, without their times."""
    return [
        Measurement(suite="live_layers", kernel="layer", op="scmoe_layer", dtype=dtype, device=device, median_s=0.0,
                    spread=0.0, n_repeats=0, shape=point.shape_of(order, zero, options.n_ranks))
        for point in points(sizes_of("live_layers", options.device))
        for zero in policies(spec)
        for order in ORDERS
    ]  # fmt: skip


def _check(options: LiveOptions) -> None:
    faults = []
    if options.device not in DEVICES:
        faults.append(unknown_word("--device", options.device, DEVICES))
    if options.machine and options.machine not in list_profiles():
        faults.append(unknown_word("--machine", options.machine, list_profiles()))
    if not 1 <= options.n_ranks <= MOST_RANKS:
        faults.append(Fault(field="--ranks", got=str(options.n_ranks), allowed=f"1 to {MOST_RANKS}",
                            remedy="start with 2"))  # fmt: skip
    n_gpus = count_gpus()
    if options.device == "cuda" and n_gpus < options.n_ranks:
        faults.append(Fault(field="--ranks", got=f"{options.n_ranks} on {n_gpus} GPUs", allowed=f"up to {n_gpus}",
                            remedy="lower it, or use --device cpu"))  # fmt: skip
    if options.device == "cuda" and not options.machine:
        faults.append(Fault(field="--machine", got="nothing", allowed="the GPU's machine",
                            remedy="see `longsim machines`"))  # fmt: skip
    if options.device == "cuda" and options.link:
        faults.append(Fault(field="--link", got=repr(options.link), allowed="nothing with --device cuda",
                            remedy="NCCL takes the machine's own links"))  # fmt: skip
    if faults:
        raise InputFaults(faults)
    check_kind(load_profile(options.machine or CPU_FRAME), options.device)


def _claim(options: LiveOptions) -> None:
    """Write down which run the folder holds; refuse one of other options, whose rows would pass for this run's."""
    options.folder.mkdir(parents=True, exist_ok=True)
    path, asked = options.folder / RUN_FILE, {k: v for k, v in vars(options).items() if k not in NOT_OF_A_RUN}
    held = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else asked
    if held != asked:
        differing = ", ".join(f"{name} {held.get(name)!r}" for name in asked if held.get(name) != asked[name])
        raise InputFaults([Fault(field="--out", got=f"{str(options.folder)!r}, which holds a run with {differing}",
                                 allowed="a new folder, or one of a run with the same options",
                                 remedy="choose another folder")])  # fmt: skip
    with replacing(path) as file:
        json.dump(asked, file, indent=1)


def _measure(options: LiveOptions, suite: str, out: Path, hosts: Sequence[Host], say: Say) -> None:
    command = [
        sys.executable, "-m", "validation.measure", "--device", options.device, "--suite", suite, "--out", str(out),
        "--model", options.model, "--share", str(options.share), "--experts", str(options.experts),
    ]  # fmt: skip
    logs = options.folder / f"{suite}.logs"
    watch = _Progress(logs / "rank0.log", say)
    run_ranks(Launch(command=command, n_ranks=options.n_ranks, folder=logs, timeout_s=options.timeout_s, hosts=hosts,
                     watch=watch))  # fmt: skip


class _Progress:
    """Says the last line of a rank's log now and then."""

    EVERY = 100  # polls of the ranks

    def __init__(self, log: Path, say: Say) -> None:
        self._log, self._say, self._polls, self._last = log, say, 0, ""

    def __call__(self) -> None:
        self._polls += 1
        if self._polls % self.EVERY == 0 and self._log.is_file():
            lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            if lines and lines[-1] != self._last and lines[-1].startswith("["):
                self._last = lines[-1]
                self._say(f"  {self._last}")


def _dtype(rows: Sequence[Measurement]) -> str:
    return next(row.dtype for row in rows if row.kernel == "gemm")


def _predict(planned: Sequence[Measurement], spec: ModelSpec, target: Target, folder: Path) -> dict[str, float]:
    """Predict and write down; where layers ran before the run was broken off, what was predicted before them stands."""
    path = folder / PREDICTIONS_FILE
    if path.is_file() and (folder / "layers" / TABLE_FILE).is_file():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    predicted = {shape_text(row.shape): predict_layer_s(row, spec, target) for row in planned}
    with replacing(path) as file:
        json.dump(predicted, file, indent=1)
    return predicted


def _drift(rows: Sequence[Measurement], found: OwnCalibration) -> float:
    """1 where the machine ran as fast beside the layers as when its kernels were measured, 2 where half as fast."""
    references = [row for row in rows if row.kernel == "reference"]
    curve = found.fit.groups[f"gemm/{references[0].op}|{references[0].dtype}"].curve.curve
    expected_s = kernel_s(*amounts(references), curve=curve)
    return float(median(row.median_s / s for row, s in zip(references, expected_s, strict=True)))


def _compared(rows: Sequence[Measurement], predicted: Mapping[str, float]) -> pd.DataFrame:
    return pd.DataFrame([compared(row, predicted[shape_text(row.shape)]) for row in rows])
