"""The command line, in this process (`longsim`) or in one of its own (`spawn`)."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import longsim as front_door
from simulator import console

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, kw_only=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def document(self):
        """The one JSON document on stdout; an error if there is anything else."""
        return json.loads(self.out)

    @property
    def faults(self):
        return self.err.strip().splitlines()


@pytest.fixture
def longsim(capsys, monkeypatch):
    monkeypatch.setattr(console.out, "_width", 160)  # whatever the terminal of whoever runs the tests

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["longsim", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            front_door.main()
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(code=ending.value.code or 0, out=said.out, err=said.err)

    return run


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
