"""Plan files: one TOML file per question, read as scenarios are: first its shape, then its sense."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from hw_profiles.faults import Fault, InputFaults, unknown_word
from hw_profiles.shape import validate_shape
from simulator.planner.question import Question
from simulator.planner.question_checks import check_question, keys_of
from simulator.scenario import apply_setting

_SHIPPED = Path(__file__).parent.parent / "plans"
_ADAPTER = TypeAdapter(dict[str, Question], config=ConfigDict(extra="forbid", strict=True))


def list_plans() -> list[str]:
    """Return the names of the plan files that ship with longsim, sorted."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def load_question(name_or_path: str, settings: Sequence[str] = ()) -> Question:
    """Return the question of a plan file, by name or path ("": none), with `key=value` settings applied; InputFaults
    names every fault."""
    tables = _tables(name_or_path) if name_or_path else {}
    faults = [fault for setting in settings for fault in apply_setting(tables, setting)]
    if faults:
        raise InputFaults(faults)
    if name_or_path:
        tables.setdefault("name", Path(name_or_path).stem)
    return build_question(tables)


def build_question(tables: Mapping[str, Any]) -> Question:
    """Return the checked question of these tables; InputFaults names every fault of a pass."""
    question, faults = validate_shape(_ADAPTER, tables, keys_of)
    if question is None or (faults := check_question(question)):
        raise InputFaults(faults)
    return question


def _tables(name_or_path: str) -> dict[str, Any]:
    path = _SHIPPED / f"{name_or_path}.toml"
    if name_or_path not in list_plans():
        path = Path(name_or_path)
        if not path.is_file():
            raise InputFaults([_no_plan(name_or_path)])
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason, remedy = error.strerror or str(error), "check its permissions"
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason, remedy = str(error), "mend the line that is named"
    raise InputFaults([Fault(field=str(path), got=reason, allowed="a readable TOML file in UTF-8", remedy=remedy)])


def _no_plan(name: str) -> Fault:
    if name.endswith(".toml") or "/" in name:
        return Fault(field="plan", got=f"{name!r}, where no file is", remedy="check the path",
                     allowed="a readable TOML file, or one of " + ", ".join(list_plans()))  # fmt: skip
    return unknown_word("plan", name, list_plans())


def asked(question: Question) -> dict[str, Any]:
    """Return every key of the question with its value, as nested plain data."""
    return asdict(question)
