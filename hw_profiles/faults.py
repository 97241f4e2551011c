"""Faults of an input: what was wrong, what is allowed, what to do. Standard library only."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One wrong field: its name, what it got, what is allowed and what to do about it."""

    field: str
    got: str
    allowed: str
    remedy: str

    def __str__(self) -> str:
        """Return the fault as one line."""
        return f"{self.field}: got {self.got}; allowed {self.allowed}; {self.remedy}"


class InputFaults(ValueError):  # noqa: N818 - a word of the field: an input has faults
    """Every fault found in one input, one line each."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))
