"""What is wrong with an input, said so that it can be put right: field, value, what is allowed, what to do."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One mistake in an input; its `str` is the one line that a user reads."""

    field: str
    got: str
    allowed: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}: got {self.got}; allowed {self.allowed}; {self.remedy}"


class InputFaults(ValueError):  # noqa: N818 (the plural says that it carries all of them)
    """Every fault found in one input, one line each."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = list(faults)
        super().__init__(self.faults)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


def nearest(word: str, known: Collection[str]) -> str | None:
    """Return the known word most like `word`, or None if none is close."""
    close = get_close_matches(word.lower(), sorted(known), n=1)
    return close[0] if close else None


def unknown_word(field: str, word: str, known: Collection[str]) -> Fault:
    """Return the fault of a word that is none of `known`; its remedy names the nearest."""
    close = nearest(word, known)
    return Fault(
        field=field,
        got=repr(word),
        allowed=", ".join(sorted(known)) or "none",
        remedy=f"did you mean {close!r}?" if close else "use one of the allowed words",
    )
