"""Fields of a model or a machine replaced by dotted name, as a scenario asks for it."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

from hw_profiles.checks import check_profile
from hw_profiles.faults import Fault, InputFaults, unknown_word
from hw_profiles.schema import HardwareProfile, Provenance
from workloads.model import ModelSpec

Value = float | str | bool
Overrides = Mapping[str, Value]
_WORD: Mapping[type, str] = {int: "whole numbers", float: "numbers", bool: "true, false", str: "words"}
_ASSUMED = Provenance(source="assumed", reference="machine_overrides of the scenario")


def override_model(model: ModelSpec, overrides: Overrides) -> ModelSpec:
    """Return the model with fields replaced by dotted name; InputFaults for a field it does not have."""
    for key, value in overrides.items():
        model = _override(model, key.split("."), value, f"model_overrides.{key}")
    return model


def override_machine(profile: HardwareProfile, overrides: Overrides) -> HardwareProfile:
    """Return the machine with fields replaced by dotted name, each marked as assumed; InputFaults for a field it does
    not have and for figures that no machine can have."""
    for key, value in overrides.items():
        if key.partition(".")[0] == "provenance":
            raise InputFaults([_own_source(key, value)])
        profile = _override(profile, key.split("."), value, f"machine_overrides.{key}")
        if isinstance(value, int | float) and not isinstance(value, bool):
            profile = replace(profile, provenance={**profile.provenance, key: _ASSUMED})
    if overrides and (faults := check_profile(profile)):
        raise InputFaults(replace(fault, field=f"machine_overrides.{fault.field}") for fault in faults)
    return profile


def _own_source(key: str, value: object) -> Fault:
    allowed, remedy = "figures of the machine", "leave it out: what a scenario overrides is marked as assumed"
    return Fault(field=f"machine_overrides.{key}", got=_shown(value), allowed=allowed, remedy=remedy)


def _shown(value: object) -> str:
    return repr(int(value) if isinstance(value, float) and value.is_integer() else value)


def _parts(record: object) -> Mapping[str, Any]:
    """The fields of a record, or the entries of a table such as a machine's tiers."""
    if isinstance(record, Mapping):
        return record
    return {f.name: getattr(record, f.name) for f in fields(record)} if is_dataclass(record) else {}


def _with(record: Any, name: str, value: object) -> Any:  # noqa: ANN401 (any record)
    return {**record, name: value} if isinstance(record, Mapping) else replace(record, **{name: value})


def _override(record: Any, path: Sequence[str], value: object, field: str) -> Any:  # noqa: ANN401 (any record)
    name, *rest = path
    parts = _parts(record)
    if name not in parts:
        raise InputFaults([unknown_word(field, name, list(parts))])
    if rest:
        return _with(record, name, _override(parts[name], rest, value, field))
    if allowed := _not_allowed(record, name, value):
        raise InputFaults([Fault(field=field, got=_shown(value), allowed=allowed, remedy="write one of these")])
    kind = type(parts[name]) if parts[name] is not None else _single(record, name)
    return _with(record, name, kind(value))


def _single(record: Any, name: str) -> Any:  # noqa: ANN401 (any record)
    """The type of a field without its None: int of `int | None`."""
    if isinstance(record, Mapping):
        return type(record[name])
    hint = get_type_hints(type(record))[name]
    bare = [kind for kind in get_args(hint) if kind is not type(None)]
    return bare[0] if type(None) in get_args(hint) and len(bare) == 1 else hint


def _not_allowed(record: Any, name: str, value: object) -> str:  # noqa: ANN401 (any record)
    """What the field of that name may hold, if that does not include `value`."""
    current = _parts(record)[name]
    kind = _single(record, name)
    if current is None and kind in _WORD:
        current = kind()  # an unset number: whatever its own default stands for
    if current is None or is_dataclass(current) or isinstance(current, Mapping):
        return ", ".join(f"{name}.{part}" for part in _parts(current)) or f"nothing: there is no {name}"
    if kind not in _WORD and not isinstance(current, str | int | float):
        return f"nothing: {name} is no single value"
    if get_args(kind):
        return "" if value in get_args(kind) else ", ".join(map(str, get_args(kind)))
    if isinstance(current, bool) or isinstance(value, bool):
        return "" if isinstance(current, bool) and isinstance(value, bool) else f"{_WORD[kind]}, as in {current}"
    fits = isinstance(value, str) if kind is str else isinstance(value, int | float)
    whole = kind is not int or (isinstance(value, int | float) and float(value).is_integer())
    return "" if fits and whole else f"{_WORD[kind]}, as in {current}"
