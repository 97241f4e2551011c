"""What a measurement was made on: device, clocks, driver, versions, date, command. Settings are read, never changed."""

import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

SMI_FIELDS = (
    "driver_version", "clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem", "clocks.applications.graphics",
    "power.draw", "power.limit", "temperature.gpu", "mig.mode.current", "ecc.mode.current",
)  # fmt: skip
# Bits of clocks_event_reasons.active that slow a busy GPU (NVML, nvmlClocksEventReasons); idle and set clocks do not.
SLOWED_BY = {
    0x04: "power cap", 0x08: "hardware slowdown", 0x20: "software thermal slowdown", 0x40: "hardware thermal slowdown",
    0x80: "power brake",
}  # fmt: skip
REASON_FIELDS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")  # since driver 535, and before
SMI_TIMEOUT_S = 10


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or of the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()


def count_gpus() -> int:
    """Return how many GPUs torch sees."""
    return torch.cuda.device_count()


def environment(device: torch.device) -> dict[str, Any]:
    """Return what stands in meta.json for one run on `device`."""
    found: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "device": device_name(device),
        "processor": _processor(),
        "n_cores": os.cpu_count(),
        "n_usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "n_threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }
    if device.type == "cuda":
        found["cuda"] = torch.version.cuda
        found["nvidia_smi"] = dict(zip(SMI_FIELDS, query_gpu(device, SMI_FIELDS), strict=False))
    return found


def slowed_by(device: torch.device) -> str:
    """Return what slows the GPU at this moment, in words; empty where nothing does or nobody can tell."""
    if device.type != "cuda":
        return ""
    for field in REASON_FIELDS:
        answer = query_gpu(device, (field,))
        if answer and answer[0].startswith("0x"):
            return reasons(int(answer[0], 16))
    return ""


def reasons(bits: int) -> str:
    """Return the words for the set `bits` that mean a slower clock."""
    return ", ".join(words for bit, words in SLOWED_BY.items() if bits & bit)


def query_gpu(device: torch.device, fields: tuple[str, ...]) -> list[str]:
    """Return what nvidia-smi answers for `fields` of this GPU; nothing where there is no nvidia-smi or no answer."""
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    which = f"GPU-{uuid}" if uuid else str(device.index or 0)
    command = ["nvidia-smi", f"--id={which}", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SMI_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [word.strip() for word in done.stdout.strip().split(",")]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
