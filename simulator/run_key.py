"""The key of a run: a hash of everything that its result follows from, and of nothing else."""

import hashlib
import json
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from hw_profiles.faults import Fault, InputFaults
from simulator.question import Question, Traffic, files_of
from simulator.scenario import prefill_scenario, resolved
from simulator.scenario_schema import Scenario
from workloads.replayed import trace_path

_ROOT = Path(__file__).parents[1]
_DECIDE = ("simulator", "workloads", "hw_profiles")  # packages whose code decides results
_DECIDE_NOT = (
    "simulator/report",
    "simulator/scenarios",  # of their content, what a scenario holds is hashed with it
    "hw_profiles/data",
)
_CODE_SUFFIXES = (".py", ".toml")
_OWN_WORDS = ("name", "title")
_BY_CONTENT = ("model", "machine")  # names or paths: what stands there is hashed in their place
_DIGITS = 32


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return the first 12 digits of the SHA-256 of all code that decides results: an edit is another version."""
    paths = sorted(
        path.relative_to(_ROOT)
        for package in _DECIDE
        for path in (_ROOT / package).rglob("*")
        if path.suffix in _CODE_SUFFIXES
    )
    found = hashlib.sha256()
    for path in paths:
        if not path.as_posix().startswith(_DECIDE_NOT):
            found.update(path.as_posix().encode() + b"\0" + (_ROOT / path).read_bytes() + b"\0")
    return found.hexdigest()[:12]


def run_key(question: Question) -> str:
    """Return the key of the run that answers a question: of every key of the scenario, resolved, of its model, machine
    and curves, of the contents of files it refers to, of the traffic and of the code.

    Equal questions have equal keys, whatever they are called and wherever their files lie. InputFaults where a file
    cannot be read.
    """
    content: dict[str, Any] = {"code": code_version(), "scenario": _scenario(question.scenario)}
    if question.traffic:
        content["traffic"] = _traffic(question.traffic)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def _scenario(scenario: Scenario) -> dict[str, Any]:
    tables = {key: value for key, value in resolved(scenario).items() if key not in (*_OWN_WORDS, *_BY_CONTENT)}
    kind, colon, path = scenario.routing.popularity.partition(":")
    if colon and kind in {"counts", "trace"}:
        file = trace_path(path) if kind == "trace" else Path(path)
        tables["routing"]["popularity"] = f"{kind}:{_file_digest(file, 'routing.popularity')}"
    nameless = replace(scenario.model_spec, name="", title="")
    by_content = {"model": nameless, "machine": scenario.profile, "fitted": scenario.fitted}
    tables |= {name: repr(record) for name, record in by_content.items()}  # plain records: their texts are exact
    pool = prefill_scenario(scenario)
    return {**tables, "prefill_pool": _scenario(pool)} if pool else tables


def _traffic(traffic: Traffic) -> dict[str, Any]:
    digests = {str(path): _file_digest(path, "traffic") for path in files_of(traffic)}
    tables = asdict(traffic)
    tables["requests"] = digests.get(str(Path(traffic.requests)), traffic.requests)
    for role in ("prompt", "output"):
        kind, _, path = str(tables[role]).partition(":")
        if kind == "empirical":
            tables[role] = f"empirical:{digests.get(str(Path(path)), path)}"
    return tables


def _file_digest(path: Path, field: str) -> str:
    try:
        about = path.stat()
        return _digest(path, about.st_size, about.st_mtime_ns)
    except OSError as error:
        fault = Fault(field=field, got=f"{str(path)!r}, {error.strerror}", allowed="a readable file",
                      remedy="check the path")  # fmt: skip
        raise InputFaults([fault]) from error


@lru_cache(maxsize=1024)
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    """Of a file as it stood: read again once its size or time has changed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
