"""What is written down beside the measurements."""

import subprocess
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="the environment is torch's")

from validation.measure.environment import device_name, environment, query_gpu, reasons, slowed_by

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def test_a_processor_has_a_name_and_nothing_that_slows_it():
    assert device_name(CPU) == environment(CPU)["processor"] != ""
    assert slowed_by(CPU) == ""


def test_idle_clocks_are_no_reason_and_heat_is():
    assert reasons(0x1) == ""
    assert reasons(0x20 | 0x80) == "software thermal slowdown, power brake"


@pytest.fixture
def smi(monkeypatch):
    """An nvidia-smi whose answer the test sets; its commands are kept."""
    asked = SimpleNamespace(commands=[], answer="")

    def run(command, **_options):
        asked.commands.append(command)
        return SimpleNamespace(stdout=asked.answer)

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: SimpleNamespace(uuid="1-2"))
    monkeypatch.setattr(subprocess, "run", run)
    return asked


def test_the_gpu_is_asked_by_its_uuid(smi):
    smi.answer = "550.54, 1980 MHz\n"
    assert query_gpu(GPU, ("driver_version", "clocks.sm")) == ["550.54", "1980 MHz"]
    assert smi.commands == [["nvidia-smi", "--id=GPU-1-2", "--query-gpu=driver_version,clocks.sm",
                             "--format=csv,noheader"]]  # fmt: skip


def test_a_hot_gpu_says_so(smi):
    smi.answer = "0x0000000000000040\n"
    assert slowed_by(GPU) == "hardware thermal slowdown"


def test_settings_are_only_read(smi):
    smi.answer = "0x0\n"
    slowed_by(GPU)
    reading = ("nvidia-smi", "--id", "--query-gpu", "--format")
    assert all(word.startswith(reading) for command in smi.commands for word in command)


def test_without_nvidia_smi_nothing_is_known(smi, monkeypatch):
    def absent(*_, **_options):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", absent)
    assert query_gpu(GPU, ("driver_version",)) == []
    assert slowed_by(GPU) == ""
