"""The candidates of a comparison: every combination of the values of some keys of a scenario, checked before any runs.

A value of the wrong type, or a word that fits beside no other value, is a mistake of whoever asks; a number that does
not fit a layout is a candidate that cannot run, with its reason.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from hw_profiles.faults import Fault, InputFaults
from simulator.scenario import ShapeFaults, load_scenario, parse_value
from simulator.scenario_schema import Scenario

MOST_CANDIDATES = 1000
_BETWEEN_VALUES = re.compile(r",(?![^\[{]*[\]}])")  # a comma inside brackets belongs to one value

Axes = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Combination:
    """One value of each key, `chosen`, and its short `name`."""

    chosen: Mapping[str, str]
    name: str

    @property
    def settings(self) -> Sequence[str]:
        """What it chooses, as `KEY=VALUE` texts."""
        return [f"{key}={value}" for key, value in self.chosen.items()]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One combination: `chosen` values by key, its short `name`, and the `scenario`, or the `reason` why it is none."""

    chosen: Mapping[str, str]
    name: str
    scenario: Scenario | None
    reason: str = ""


def axes_of(vary: Sequence[str], settings: Sequence[str] = (), *, most: int = MOST_CANDIDATES) -> dict[str, list[str]]:
    """Return the values of each key of `KEY=A,B,C` texts, in order.

    InputFaults names every text that is none, keys and values that come twice, keys that `settings` set as well, and
    more than `most` combinations.
    """
    axes: dict[str, list[str]] = {}
    faults: list[Fault] = []
    taken = {setting.partition("=")[0].strip() for setting in settings}
    for text in vary:
        key, equals, values = (part.strip() for part in text.partition("="))
        found = [value.strip() for value in _BETWEEN_VALUES.split(values)]
        if not equals or not key or not all(found):
            faults.append(_fault(repr(text), "KEY=A,B,C, such as layout.ep=32,64,128", "write the values to compare"))
        elif key in axes:
            faults.append(_fault(f"{key!r} twice", "each key once", f"write all of its values together: {key}=A,B,C"))
        elif key in taken:
            faults.append(_fault(f"{key!r}, which --set sets too", "a key in one of the two", "leave one of them out"))
        elif repeated := [value for value in dict.fromkeys(found) if found.count(value) > 1]:
            faults.append(_fault(f"{key}={repeated[0]} twice", "each value once", "leave one of them out"))
        axes.setdefault(key, found)
    n = n_combinations(axes)
    if n > most:
        faults.append(_fault(f"{n:,} combinations", f"at most {most:,}", "vary fewer keys or values"))
    if faults:
        raise InputFaults(faults)
    return axes


def n_combinations(axes: Axes) -> int:
    """Return how many combinations the values of these axes have."""
    return prod(len(values) for values in axes.values())


def combinations(axes: Axes) -> Iterator[Combination]:
    """Yield every combination of the axes' values, the last key changing fastest."""
    words = _short_keys(list(axes))
    for values in product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        yield Combination(chosen=chosen, name=" ".join(f"{words[key]}={value}" for key, value in chosen.items()))


def _fault(got: str, allowed: str, remedy: str) -> Fault:
    return Fault(field="--vary", got=got, allowed=allowed, remedy=remedy)


def candidates(scenario: str, axes: Axes, settings: Sequence[str] = ()) -> list[Candidate]:
    """Return every combination of the axes' values on a scenario, the last key changing fastest.

    InputFaults where the scenario itself is wrong, a value has the wrong type, a word fits in no combination, or
    nothing is left to compare.
    """
    found: list[Candidate] = []
    refusals: list[InputFaults | None] = []
    for one in combinations(axes):
        chosen, name = one.chosen, one.name
        try:
            loaded = load_scenario(scenario, [*settings, *one.settings])
        except ShapeFaults:
            raise
        except InputFaults as error:
            found.append(Candidate(chosen=chosen, name=name, scenario=None, reason=str(error).replace("\n", "; ")))
            refusals.append(error)
        else:
            found.append(Candidate(chosen=chosen, name=name, scenario=replace(loaded, name=name)))
            refusals.append(None)
    _check_for_mistakes(axes, found, refusals)
    return found


def _short_keys(keys: Sequence[str]) -> dict[str, str]:
    """The last word of each key where that tells it from the others, else the whole key."""
    last = {key: key.rpartition(".")[2] for key in keys}
    return {key: word if list(last.values()).count(word) == 1 else key for key, word in last.items()}


def _check_for_mistakes(axes: Axes, found: Sequence[Candidate], refusals: Sequence[InputFaults | None]) -> None:
    """Everything refused, or a word refused wherever it stands."""
    wrong: list[InputFaults] = [] if None in refusals else [error for error in refusals if error]
    for key, values in axes.items():
        for value in values:
            with_it = [error for c, error in zip(found, refusals, strict=True) if c.chosen[key] == value]
            faulty = [error for error in with_it if error and any(fault.field == key for fault in error.faults)]
            if isinstance(parse_value(value), str) and len(faulty) == len(with_it):
                wrong.extend(faulty)
    faults = dict.fromkeys(fault for error in wrong for fault in error.faults)
    if faults:
        raise InputFaults(faults)
