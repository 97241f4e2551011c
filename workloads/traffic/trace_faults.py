"""The faults of a trace's lines, gathered while it is read and raised together."""

from hw_profiles.faults import Fault, InputFaults

MOST_FAULTS = 20  # more would hide what they have in common


class LineFaults:
    """Faults of one file, each with the number of its line."""

    def __init__(self, file_name: str) -> None:
        self._file_name = file_name
        self._found: list[tuple[int, Fault]] = []

    def add(self, line: int, column: str, *, got: str, allowed: str, remedy: str) -> None:
        """Note a fault of a line; `column` is empty where the whole line is at fault."""
        field = f"{self._file_name}, line {line}" + (f", {column}" if column else "")
        self._found.append((line, Fault(field=field, got=got, allowed=allowed, remedy=remedy)))

    @property
    def any(self) -> bool:
        """Whether a fault was found."""
        return bool(self._found)

    @property
    def full(self) -> bool:
        """Whether there are as many as are shown: reading on would tell nothing more."""
        return len(self._found) >= MOST_FAULTS

    def forget_after(self, line: int) -> None:
        """Drop the faults of lines after `line`: nobody asked for them."""
        self._found = [found for found in self._found if found[0] <= line]

    def check(self) -> None:
        """Raise InputFaults, in the order of lines, if any was found."""
        if self._found:
            in_order = sorted(self._found, key=lambda found: found[0])
            raise InputFaults(fault for _, fault in in_order[:MOST_FAULTS])
