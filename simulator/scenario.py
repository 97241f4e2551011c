"""Scenarios: one TOML file per question, every key with a default but model, machine and n_gpus.

Two passes: shape (`hw_profiles.shape`), then sense (`simulator.scenario_checks`); each reports every fault it finds.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from hw_profiles.faults import Fault, InputFaults, unknown_word
from hw_profiles.shape import validate_shape
from simulator.scenario_checks import check_scenario
from simulator.scenario_schema import Scenario

_SHIPPED = Path(__file__).parent / "scenarios"


class ShapeFaults(InputFaults):
    """Keys that are none and values of the wrong type: wrong whatever stands beside them."""


_ADAPTER = TypeAdapter(dict[str, Scenario], config=ConfigDict(extra="forbid", strict=True))


def list_scenarios() -> list[str]:
    """Return the names of the scenarios that ship with longsim, sorted."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def load_scenario(name_or_path: str, settings: Sequence[str] = ()) -> Scenario:
    """Return the scenario of that name or path with `key=value` settings applied; InputFaults names every fault."""
    path, tables = read_tables(name_or_path)
    faults = [fault for setting in settings for fault in apply_setting(tables, setting)]
    if faults:
        raise InputFaults(faults)
    tables.setdefault("name", path.stem)
    return build_scenario(tables)


def read_tables(name_or_path: str) -> tuple[Path, dict[str, Any]]:
    """Return the path of a scenario and its tables as they stand in the file."""
    path = _SHIPPED / f"{name_or_path}.toml"
    if name_or_path not in list_scenarios():
        path = Path(name_or_path)
        if not path.is_file():
            raise InputFaults([_no_scenario(name_or_path)])
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason, allowed, remedy = error.strerror or str(error), "a readable file", "check its permissions"
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason, allowed, remedy = str(error), "valid TOML in UTF-8", "mend the line that is named"
    raise InputFaults([Fault(field=str(path), got=reason, allowed=allowed, remedy=remedy)])


def _no_scenario(name: str) -> Fault:
    if name.endswith(".toml") or "/" in name:
        return Fault(field="scenario", got=f"{name!r}, where no file is", allowed="a readable TOML file, or one of "
                     + ", ".join(list_scenarios()), remedy="check the path")  # fmt: skip
    return unknown_word("scenario", name, list_scenarios())


def apply_setting(tables: dict[str, Any], setting: str) -> list[Fault]:
    """Set one dotted `key=value` in the tables (the value is read as TOML, else as a word); return its faults."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        allowed = "key=value, such as layout.ep=64"
        return [
            Fault(field="--set", got=repr(setting), allowed=allowed, remedy="write the key, an equals sign, a value")
        ]
    *parents, last = key.strip().split(".")
    table = tables
    if parents and parents[0] in {"model_overrides", "machine_overrides"}:
        parents, last = parents[:1], ".".join([*parents[1:], last])
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            if parent == "ffn_experts":  # "fixed" is short for a table of one kind
                table = tables["routing"]["ffn_experts"] = {"kind": tables["routing"]["ffn_experts"]}
                continue
            return [Fault(field=key, got=repr(setting), allowed=f"{parent}=VALUE", remedy=f"{parent} is no table")]
    table[last] = parse_value(text.strip())
    return []


def parse_value(text: str) -> Any:  # noqa: ANN401 (TOML has any type)
    """Return the TOML value that `text` spells, or `text` itself where it spells none."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def build_scenario(tables: Mapping[str, Any]) -> Scenario:
    """Return the checked scenario of these tables; InputFaults names every fault of a pass (ShapeFaults: the first)."""
    values = {**tables}
    routing = values.get("routing")
    if isinstance(routing, dict) and isinstance(routing.get("ffn_experts"), str):
        values["routing"] = {**routing, "ffn_experts": {"kind": routing["ffn_experts"]}}
    scenario, faults = validate_shape(_ADAPTER, values, _keys_of)
    if scenario is None:
        raise ShapeFaults(faults)
    if faults := check_scenario(scenario):
        raise InputFaults(faults)
    prefill_scenario(scenario)
    return scenario


_OF_ONE_POOL = ("n_replicas", "kv_blocks")


def prefill_scenario(scenario: Scenario) -> Scenario | None:
    """Return the scenario of the replicas that only compute prompts, None where there are none: as `scenario`, with the
    keys of its `prefill_pool` in place of its own; one replica, whose KV blocks are reckoned anew, where that says
    nothing of them, and no room kept for answers. InputFaults names every fault."""
    if not scenario.prefill_pool:
        return None
    if nested := sorted({"prefill_pool", "kv_transfer", "failures", "name", "title"} & set(scenario.prefill_pool)):
        raise InputFaults([
            Fault(field=f"prefill_pool.{key}", got="a key of the whole scenario", allowed="keys of its replicas",
                  remedy="write it outside of prefill_pool") for key in nested
        ])  # fmt: skip
    tables = resolved(scenario)
    del tables["prefill_pool"], tables["kv_transfer"], tables["failures"]
    serving = {key: value for key, value in tables["serving"].items() if key not in _OF_ONE_POOL}
    tables["serving"] = {**serving, "reserved_output_share": 0.0}
    try:
        return build_scenario(_merged(tables, scenario.prefill_pool))
    except InputFaults as error:
        faults = [replace(fault, field=f"prefill_pool.{fault.field}") for fault in error.faults]
        raise type(error)(faults) from error


def _merged(tables: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: (tables[key], value) for key, value in over.items() if key in tables}
    deeper = {key: _merged(*pair) for key, pair in both.items() if all(isinstance(side, Mapping) for side in pair)}
    return {**tables, **over, **deeper}


def _keys_of(section: str) -> Sequence[str]:
    kind: Any = Scenario
    for part in section.split(".") if section else []:
        at = next((f for f in fields(kind) if f.name == part), None)
        kind = at.default_factory if at else None
        if not (isinstance(kind, type) and is_dataclass(kind)):
            return []
    return [f.name for f in fields(kind)]


def resolved(scenario: Scenario) -> dict[str, Any]:
    """Return every key of the scenario with its value, as nested plain data."""
    return asdict(scenario)
