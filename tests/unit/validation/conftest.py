"""The command line in this process."""

import json
import sys
from dataclasses import dataclass

import pytest

import longsim as front_door


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
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["longsim", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            front_door.main()
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(code=ending.value.code or 0, out=said.out, err=said.err)

    return run
