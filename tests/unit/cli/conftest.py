"""The command line in processes of its own; in this process it is the `longsim` of every test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from front_door import Said

ROOT = Path(__file__).parents[3]


@pytest.fixture
def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def python(environment):
    """Run a snippet in a process of its own."""

    def run(code, *arguments):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False
        )
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    return run


@pytest.fixture
def scenario_file(tmp_path):
    """Write a scenario; without a text, one that a laptop answers at once."""

    def write(text='model = "tiny"\nmachine = "h800_sxm"\nn_gpus = 8\nlayout = { ep = 8 }\n', name="small.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write
