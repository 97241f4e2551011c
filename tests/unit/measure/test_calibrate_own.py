"""From a measured folder to a profile that a scenario runs on; folders that are refused."""

import json

import numpy as np
import pytest

from hw_profiles.curves.kernel import KernelCurve, kernel_s
from hw_profiles.faults import InputFaults
from hw_profiles.loader import load_curves, load_profile
from validation.calibrate_own import calibrate_own, residuals_of_own
from validation.measurements import Measurement, append_measurement, write_meta

CORE = KernelCurve(floor_s=2e-6, flops_per_s=5e10, bytes_per_s=8e9, sharpness=1.0)
COPY = KernelCurve(floor_s=1e-6, flops_per_s=None, bytes_per_s=6e9)
LINK = KernelCurve(floor_s=2e-4, flops_per_s=None, bytes_per_s=1.1e8)


def row(kernel, op, shape, curve, *, flops=0.0, moved=0.0, dtype="fp32", suite="quick", outcome=None):
    median_s = float(kernel_s(np.asarray(flops), np.asarray(moved), curve=curve))
    return Measurement(
        suite=suite, kernel=kernel, op=op, shape=shape, dtype=dtype, device="fake core", median_s=median_s,
        spread=0.01, n_repeats=20, flops=flops or None, moved_bytes=moved or None, outcome=outcome or {},
    )  # fmt: skip


def gemm_rows(curve=CORE):
    """Products of two widths: with one alone, bytes and FLOPs could not be told apart."""
    return [
        row("gemm", op, {"m": m, "n": n, "k": n}, curve, flops=2.0 * m * n * n, moved=4.0 * (2 * m * n + n * n))
        for op, n in (("attention.o", 1024), ("attention.q_a", 64))
        for m in (1, 8, 64, 256, 1024, 4096, 16384)
    ]


def rows():
    copies = [row("copy", "copy", {"bytes": n}, COPY, moved=2.0 * n, dtype="uint8") for n in (4096, 1 << 20, 1 << 26)]
    sent = [
        row("all_to_all", "all_to_all.routed", {"bytes": n, "ranks": 2}, LINK, moved=n / 2) for n in (4e3, 1e5, 1e6)
    ]
    launch = [
        row("launch", "launch.eager", {"launches": 100}, KernelCurve(floor_s=3e-4, flops_per_s=None, bytes_per_s=None))
    ]
    beside = [
        row("interference", op, {"m": 1}, CORE, moved=8e6, outcome={"alone_s": share * 1.002e-3})
        for op, share in (("gemm_beside.collective", 0.9), ("collective_beside.gemm", 0.5))
    ]  # fmt: skip
    return [*gemm_rows(), *copies, *sent, *launch, *beside]


def folder_of(path, measured, **meta):
    path.mkdir(exist_ok=True)
    for measurement in measured:
        append_measurement(path, measurement)
    run = {"torch": "2.0", "date": "2026-01-01", "command": "measure", "n_usable_cores": 2, "n_threads": 1}
    write_meta(path, {"version": 1, "runs": [run], **meta})
    return path


@pytest.fixture
def measured(tmp_path):
    return folder_of(tmp_path / "measured", rows())


def test_the_profile_holds_what_was_measured(measured, tmp_path):
    found = calibrate_own(measured, "cpu_core")
    found.write(tmp_path / "mine")
    profile, curves = load_profile(str(tmp_path / "mine")), load_curves(str(tmp_path / "mine"))
    reached = profile.device.peak_flops_per_s["fp32"] * profile.efficiency.gemm["fp32"]
    assert reached == pytest.approx(CORE.flops_per_s, rel=0.02)
    assert profile.device.hbm_bytes_per_s * profile.efficiency.hbm == pytest.approx(COPY.bytes_per_s, rel=0.02)
    assert profile.launch.eager_gap_s == pytest.approx(3e-6)
    nic = profile.tiers["nic"]
    assert nic.bytes_per_s * nic.efficiency == pytest.approx(LINK.bytes_per_s, rel=0.02)
    assert nic.latency_s == pytest.approx(LINK.floor_s, rel=0.02)
    assert profile.device.n_sms == 2  # two usable cores, kernels of one thread
    assert profile.provenance["tiers.nic.latency_s"].source == "measured"
    assert "fake core" in profile.provenance["tiers.nic.latency_s"].reference
    assert curves["torch", "gemm|fp32"].curve.flops_per_s == pytest.approx(CORE.flops_per_s, rel=0.02)
    kept = curves["interference", "torch"].curve
    assert (kept.gemm_share, kept.dispatch_share) == pytest.approx((0.9, 0.5), rel=0.01)


def test_the_document_tells_every_curve_and_how_it_stands(measured):
    document = calibrate_own(measured, "cpu_core").document
    named = {curve["name"]: curve for curve in document["curves"]}
    assert named["gemm/attention.o|fp32"]["median_error"] < 0.02
    assert named["gemm/attention.o|fp32"]["judged_on"] == "rows left out"
    assert named["copy|uint8"]["judged_on"] == "the rows it was fitted on"
    json.dumps(document)


def test_the_residual_page_has_a_point_for_every_row(measured):
    residuals = residuals_of_own(calibrate_own(measured, "cpu_core"))
    assert len(residuals.rows[residuals.rows["group"] == "gemm|fp32"]) == len(gemm_rows())


def test_held_out_folders_are_refused(tmp_path):
    marked = folder_of(tmp_path / "marked", rows(), held_out=True)
    layers = folder_of(
        tmp_path / "layers", [row("layer", "scmoe_layer", {"batch": 1}, CORE, moved=1.0, suite="layers")]
    )
    for folder in (marked, layers):
        with pytest.raises(InputFaults, match="is held out"):
            calibrate_own(folder, "cpu_core")


def test_a_folder_without_rows_and_an_unknown_machine_are_refused(tmp_path, measured):
    with pytest.raises(InputFaults, match=r"holds no measurements\.csv"):
        calibrate_own(tmp_path, "cpu_core")
    with pytest.raises(InputFaults, match=r"--machine: got 'cpu_cor'; .* did you mean 'cpu_core'"):
        calibrate_own(measured, "cpu_cor")


def test_a_machine_slower_than_what_was_measured_is_another_machine(tmp_path):
    fast = KernelCurve(floor_s=2e-6, flops_per_s=3e15, bytes_per_s=1e12, sharpness=1.0)
    products = [
        row("gemm", "o", {"m": m, "n": 4096, "k": 4096}, fast, flops=2.0 * m * 4096 * 4096, moved=1e7, dtype="bf16")
        for m in (64, 512, 2048, 8192, 16384, 32768)
    ]
    folder = folder_of(tmp_path / "fast", products, runs=[{"cuda": "12.4"}])
    with pytest.raises(InputFaults, match="h100_sxm, but gemm in bf16 reached"):
        calibrate_own(folder, "h100_sxm")


def test_a_processor_is_no_gpu_and_a_gpu_no_processor(tmp_path, measured):
    with pytest.raises(InputFaults, match=r"--machine: got 'h100_sxm' for what was measured on a processor"):
        calibrate_own(measured, "h100_sxm")
    on_gpu = folder_of(tmp_path / "gpu", rows(), runs=[{"cuda": "12.4"}])
    with pytest.raises(InputFaults, match=r"--machine: got 'cpu_core' for what was measured on a GPU"):
        calibrate_own(on_gpu, "cpu_core")


def test_the_command_writes_a_profile_that_a_scenario_runs_on(longsim, measured, tmp_path):
    out = tmp_path / "mine"
    done = longsim("calibrate", str(measured), "--machine", "cpu_core", "--out", str(out))
    assert done.code == 0
    assert "launch.eager_gap_s" in done.out
    assert (out / "residuals.html").read_text().startswith("<!")
    scenario = tmp_path / "layers.toml"
    precision = "\n".join(
        f'{key} = "fp32"' for key in ("weights", "attention_weights", "attention", "kv", "dispatch", "combine")
    )
    scenario.write_text(
        f'model = "tiny"\nmachine = "{out}"\nn_gpus = 2\nschedule = "sbo_one_stream"\n[layout]\nep = 2\n'
        f"[batch]\nsequences_per_gpu = 4\ncontext_tokens = 16\n[precision]\n{precision}\n"
        '[run]\nbackend = "torch"\nlaunch = "eager"\nparts = ["layers"]\n'
    )
    run = longsim("run", str(scenario), "--json")
    assert run.code == 0
    assert json.loads(run.out)["metrics"]["step_s"] > 0.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "x"], "--machine: got nothing"),
        (["--machine", "cpu_core"], "--out: got nothing"),
        (["--machine", "cpu_core", "--out", "x", "--check"], "--check: got with MEASURED"),
    ],
)
def test_options_that_do_not_go_together_are_told(longsim, measured, words, said):
    done = longsim("calibrate", str(measured), *words)
    assert done.code == 2
    assert said in done.err
