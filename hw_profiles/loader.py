"""Machine profiles from TOML: by name from `hw_profiles/data`, or by path from anywhere."""

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from hw_profiles.checks import check_profile
from hw_profiles.faults import Fault, InputFaults, unknown_word
from hw_profiles.fitted import FITTED_FILE, SERVED_FILE, Fitted, FittedCurve, load_fitted
from hw_profiles.provenance import separate_sources
from hw_profiles.schema import (
    AllToAll,
    Bridges,
    Device,
    Efficiency,
    Fabric,
    HardwareProfile,
    Launch,
    Node,
    Tier,
)
from hw_profiles.shape import validate_shape

PROFILE_FILE = "profile.toml"
_DATA = Path(__file__).parent / "data"
BETWEEN_NODES = ("deepep_low_latency", "deepep_normal", "moe_a2a_ep8", "interference")  # DeepEP's, over the NIC
_PROVENANCE = "provenance"  # made from [sources] and each `from`, never written in a file
_SECTIONS: Mapping[str, type[Any]] = {
    "device": Device,
    "node": Node,
    "node.bridges": Bridges,
    "tiers.*": Tier,
    "fabric": Fabric,
    "efficiency": Efficiency,
    "launch": Launch,
    "all_to_all": AllToAll,
}
_ADAPTER = TypeAdapter(dict[str, HardwareProfile], config=ConfigDict(extra="forbid", strict=True))


def list_profiles() -> list[str]:
    """Return the names of the machines that ship with longsim, sorted."""
    return sorted(path.parent.name for path in _DATA.glob(f"*/{PROFILE_FILE}"))


def load_profile(name_or_path: str) -> HardwareProfile:
    """Return the machine of that name, or the one described at that path (a directory or its profile.toml).

    A name of a shipped machine wins over a directory of the same name; write `./name` for the directory.
    Raises InputFaults with every fault of the file: first those of shape, and once the shape is right those of sense.
    """
    return _build(_parse(_find(name_or_path)))


def load_curves(name_or_path: str) -> Fitted:
    """Return the curves fitted on measurements of that machine, by family and group: `fitted.json` beside its profile,
    and `served.json` where that has none; empty where neither is. Where the profile names a machine in `curves_of`,
    that one's curves stand in for those it lacks, but for all-to-alls' (`BETWEEN_NODES`). Raises InputFaults if a file
    cannot be used."""
    path = _find(name_or_path)
    own, alike = _curves_beside(path), _parse(path).get("curves_of")
    if not alike:
        return own
    lent = _curves_beside(_DATA / _known(str(alike)) / PROFILE_FILE)
    return {name: curve for name, curve in lent.items() if name[0] not in BETWEEN_NODES} | own


def _curves_beside(profile: Path) -> dict[tuple[str, str], FittedCurve]:
    return {**load_fitted(profile.with_name(SERVED_FILE)), **load_fitted(profile.with_name(FITTED_FILE))}


def _known(name: str) -> str:
    if name not in list_profiles():
        raise InputFaults([unknown_word("curves_of", name, list_profiles())])
    return name


def _find(name_or_path: str) -> Path:
    if name_or_path in list_profiles():
        return _DATA / name_or_path / PROFILE_FILE
    path = Path(name_or_path)
    with suppress(OSError, RuntimeError):  # a name too long for the file system, a home of nobody: nothing is there
        path = path.expanduser()
        if path.is_dir():
            path = path / PROFILE_FILE
        if path.is_file():
            return path
    raise InputFaults([_nothing_there(name_or_path, path)])


def _nothing_there(name_or_path: str, path: Path) -> Fault:
    looks_like_path = path.name == PROFILE_FILE or path.suffix == ".toml" or len(path.parts) > 1
    if not looks_like_path:
        return unknown_word("machine", name_or_path, list_profiles())
    return Fault(
        field="machine",
        got=f"{name_or_path!r}, where no file {path} is",
        allowed=f"a directory with a {PROFILE_FILE}, the path of that file, or one of {', '.join(list_profiles())}",
        remedy="check the path",
    )


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason, allowed, remedy = error.strerror or str(error), "a readable file", "check its permissions"
    except UnicodeDecodeError as error:
        reason, allowed, remedy = str(error), "TOML in UTF-8", "save the file as UTF-8"
    except tomllib.TOMLDecodeError as error:
        reason, allowed, remedy = str(error), "valid TOML", "mend the line that is named"
    raise InputFaults([Fault(field=str(path), got=reason, allowed=allowed, remedy=remedy)])


def _build(tables: dict[str, Any]) -> HardwareProfile:
    sourced = separate_sources(tables)
    profile, faults = validate_shape(_ADAPTER, sourced.values, _keys_of)
    faults = sourced.faults + faults
    if _PROVENANCE in tables:
        faults.append(unknown_word(_PROVENANCE, _PROVENANCE, _keys_of("")))
    if profile is None or faults:
        raise InputFaults(faults)
    profile = replace(profile, provenance=dict(sourced.provenance))
    if faults := check_profile(profile):
        raise InputFaults(faults)
    return profile


def _keys_of(section: str) -> list[str]:
    """Return the keys that the table at this dotted path may have."""
    if not section:
        return [*_names(HardwareProfile), "sources"]
    head, *_ = section.split(".")
    kind = _SECTIONS.get(section) or _SECTIONS.get(f"{head}.*")
    return _names(kind) if kind else []


def _names(kind: type[Any]) -> list[str]:
    return [item.name for item in fields(kind) if item.name != _PROVENANCE]
