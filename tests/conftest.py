"""The toy machine and the toy model that tests of every room share; builders and numbers stand in tests/toy.py."""

import os
import signal
import sys

import pytest
import toy
from front_door import Said
from hypothesis import settings

import longsim as door
from hw_profiles.schema import HardwareProfile
from simulator import console
from simulator.resources import Capacities
from workloads.batch import Batch
from workloads.layout import Layout
from workloads.model import ModelSpec
from workloads.step import StepSpec
from workloads.zoo import tiny

settings.register_profile("quick", deadline=None, derandomize=True, max_examples=30)
settings.register_profile("thorough", deadline=None, max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as in the background of a shell; what is started here inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def toy_capacities() -> Capacities:
    """10 SMs, HBM of 1e9 B/s, one link of 1e9 B/s each way."""
    return toy.CAPACITIES


@pytest.fixture
def toy_machine() -> HardwareProfile:
    """Two such devices in one node, 1e12 FLOP/s each, a link latency of 1 microsecond."""
    return toy.machine()


@pytest.fixture
def toy_cluster() -> HardwareProfile:
    """Sixteen such devices in nodes of four."""
    return toy.machine(n_devices_per_node=4, max_devices=16)


@pytest.fixture
def toy_model() -> ModelSpec:
    """Two ScMoE layers, hidden 64, 8 routed and 4 zero-computation experts, top 3 of which 2 are FFN experts."""
    return tiny()


@pytest.fixture
def toy_step(toy_model: ModelSpec) -> StepSpec:
    """A decode step of the toy model on two devices: 8 sequences of 16 tokens each, one expert group."""
    return StepSpec(
        model=toy_model,
        n_gpus=2,
        devices_per_node=2,
        phase="decode",
        layout=Layout(ep=2),
        batch=Batch(sequences_per_gpu=8, context_tokens=16),
    )


@pytest.fixture
def longsim(capsys, monkeypatch):
    """The command line in this process."""
    monkeypatch.setattr(console.out, "_width", 160)  # whatever the terminal of whoever runs the tests

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["longsim", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            door.main()
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(code=ending.value.code or 0, out=said.out, err=said.err)

    return run
