"""The sources inside a profile file: `n_sms = { value = 132, from = "datasheet" }` → 132 and its Provenance.

A file names its documents once, as `[sources.NAME]` with `source` and `reference`. Each number points to one of them
with `from`; `note` says what is particular to that number (a derivation, a row of a table).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from hw_profiles.faults import Fault, unknown_word
from hw_profiles.schema import Provenance, Source

_SOURCE_WORDS: tuple[str, ...] = get_args(Source)
_SOURCE_KEYS = ("source", "reference")
_VALUE_KEYS = ("value", "from", "note")
_Named = Mapping[str, Provenance | None]


@dataclass(frozen=True, kw_only=True)
class Sourced:
    """A profile file taken apart: bare values in their tables, the source of each by dotted path, and the faults."""

    values: Mapping[str, Any]
    provenance: Mapping[str, Provenance]
    faults: list[Fault] = field(default_factory=list)


def separate_sources(tables: Mapping[str, Any]) -> Sourced:
    """Return the values of a parsed profile file apart from their sources; `[sources]` itself is left out."""
    faults: list[Fault] = []
    named = _read_named_sources(tables.get("sources", {}), faults)
    provenance: dict[str, Provenance] = {}
    values = {key: _unwrap(key, entry, named, provenance, faults) for key, entry in tables.items() if key != "sources"}
    return Sourced(values=values, provenance=provenance, faults=faults)


def _read_named_sources(table: object, faults: list[Fault]) -> _Named:
    """Return the documents by name; None stands for one that is named but faulty, so that it is reported once."""
    if not isinstance(table, Mapping):
        faults.append(_not_a_table("sources", table, "[sources.NAME] tables", "write [sources.NAME]"))
        return {}
    return {
        name: None
        if _note(faults, _faults_of_named_source(f"sources.{name}", entry))
        else Provenance(source=entry["source"], reference=entry["reference"])
        for name, entry in table.items()
    }


def _note(faults: list[Fault], found: Iterator[Fault]) -> bool:
    """Keep the faults found; return whether there were any."""
    before = len(faults)
    faults.extend(found)
    return len(faults) > before


def _faults_of_named_source(path: str, entry: object) -> Iterator[Fault]:
    if not isinstance(entry, Mapping):
        yield _not_a_table(path, entry, "a table with source and reference", "write [sources.NAME]")
        return
    yield from (unknown_word(f"{path}.{key}", key, _SOURCE_KEYS) for key in entry if key not in _SOURCE_KEYS)
    word = entry.get("source")
    if word not in _SOURCE_WORDS:
        yield unknown_word(f"{path}.source", str(word), _SOURCE_WORDS)
    reference = entry.get("reference")
    if not isinstance(reference, str) or not reference.strip():
        yield Fault(
            field=f"{path}.reference",
            got=repr(reference),
            allowed="a text that is not empty",
            remedy="name the document and the place in it, or the reasoning if it is assumed",
        )


def _not_a_table(path: str, got: object, allowed: str, remedy: str) -> Fault:
    return Fault(field=path, got=repr(got), allowed=allowed, remedy=remedy)


def _unwrap(
    path: str,
    entry: object,
    named: _Named,
    provenance: dict[str, Provenance],
    faults: list[Fault],
) -> object:
    """Return the bare value of an entry, or its table of bare values; sources go to `provenance`."""
    if not isinstance(entry, Mapping):
        faults.extend(_fault_of_bare_number(path, entry))
        return entry
    if "value" not in entry and "from" not in entry:
        return {key: _unwrap(f"{path}.{key}", inner, named, provenance, faults) for key, inner in entry.items()}
    if not _note(faults, _faults_of_sourced_value(path, entry, named)) and (document := named[entry["from"]]):
        provenance[path] = _with_note(document, entry.get("note"))
    return entry.get("value")


def _fault_of_bare_number(path: str, entry: object) -> Iterator[Fault]:
    if isinstance(entry, int | float) and not isinstance(entry, bool):
        yield Fault(
            field=path,
            got=f"{entry!r} without a source",
            allowed='{ value = NUMBER, from = "NAME" }',
            remedy="say in [sources.NAME] where the number comes from",
        )


def _faults_of_sourced_value(path: str, entry: Mapping[str, Any], named: _Named) -> Iterator[Fault]:
    yield from (unknown_word(f"{path}.{key}", key, _VALUE_KEYS) for key in entry if key not in _VALUE_KEYS)
    if "value" not in entry:
        yield Fault(field=f"{path}.value", got="nothing", allowed="a value", remedy="add value = …")
    name = entry.get("from")
    if not isinstance(name, str) or name not in named:
        yield unknown_word(f"{path}.from", str(name), list(named))


def _with_note(document: Provenance, note: str | None) -> Provenance:
    return replace(document, reference=f"{document.reference}: {note}") if note else document


def value_at(record: Any, path: str) -> Any:  # noqa: ANN401 (any record)
    """Return what stands at a dotted path of a profile, such as "tiers.nic.bytes_per_s"."""
    for part in path.split("."):
        record = record[part] if isinstance(record, Mapping) else getattr(record, part)
    return record
