"""Reading the keys of a model's config.json: each key by one of its names, every fault noted, none raised until all
keys were read."""

from collections.abc import Mapping, Sequence
from typing import Any

from hw_profiles.faults import Fault, InputFaults


class ConfigKeys:
    """The keys of one config.json and the faults found while reading them.

    A key that is null counts as absent, but for `count_or_null`. Readers return a harmless value for a faulty key, so
    that reading goes on; `check` then raises InputFaults with all of them.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self.faults: list[Fault] = []

    def _find(self, names: Sequence[str]) -> tuple[str, Any]:
        return next(((name, self._config[name]) for name in names if self._config.get(name) is not None), ("", None))

    def count(self, *names: str, default: int | None = None, least: int = 1) -> int:
        """Return the whole number under the first of `names` that is there, at least `least`; else the default."""
        name, value = self._find(names)
        if not name:
            if default is None:
                self._fault(names[0], "nothing", f"a whole number, at least {least}", "add it")
            return least if default is None else default
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self._fault(name, repr(value), f"a whole number, at least {least}", "copy it from the released config.json")
            return least
        return value

    def count_or_null(self, name: str) -> int:
        """Return the whole number under `name`, 0 for null: the key has to be there."""
        return self.count(name, default=0 if name in self._config else None, least=0)

    def number(self, *names: str) -> float:
        """Return the positive number under the first of `names` that is there."""
        name, value = self._find(names)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < float("inf"):
            got = repr(value) if name else "nothing"
            self._fault(name or names[0], got, "a number above 0", "copy it from the released config.json")
            return 1.0
        return float(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return the truth value under `name`, else the default."""
        value = self._config.get(name)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self._fault(name, repr(value), "true or false", "copy it from the released config.json")
        return default

    def has(self, *names: str) -> bool:
        """Return whether any of the names holds something other than null, 0, false or an empty list."""
        return any(self._config.get(name) for name in names)

    def refuse(self, name: str, allowed: Sequence[object], why: str) -> None:
        """Note a fault if `name` is there with another value than the allowed ones; null and absent are fine."""
        value = self._config.get(name)
        if value is not None and value not in allowed:
            self._fault(name, repr(value), ", ".join(repr(word) for word in allowed) or "null", why)

    def check(self) -> None:
        """Raise InputFaults if any key was faulty."""
        if self.faults:
            raise InputFaults(self.faults)

    def _fault(self, field: str, got: str, allowed: str, remedy: str) -> None:
        fault = Fault(field=field, got=got, allowed=allowed, remedy=remedy)
        if fault not in self.faults:  # a key may be read twice
            self.faults.append(fault)
