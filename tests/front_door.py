"""What the command line said: exit code, stdout, stderr."""

import json
from dataclasses import dataclass


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
