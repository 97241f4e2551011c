"""Clusters: published deployments by name, each beside its scenario."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from validation.clusters.deepseek import deepseek_part
from validation.clusters.longcat import longcat_part
from validation.clusters.longcat2 import longcat2_part
from validation.clusters.parts import Part, part_document
from validation.clusters.sglang import sglang_part
from validation.clusters.silicon import silicon_part

PARTS: Mapping[str, Callable[[Path], Part]] = {  # name → the part, given the directory of published tables
    "deepseek": deepseek_part,
    "longcat": lambda _: longcat_part(),  # every fact is typed
    "longcat2": longcat2_part,
    "sglang": sglang_part,
    "silicon": silicon_part,
}


def clusters_document(names: Sequence[str], data: Path) -> dict[str, Any]:
    """Return the parts of those names as one JSON document."""
    return joined([part_document(name, PARTS[name](data)) for name in names])


def joined(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return documents of rows, notes, what was skipped and a summary as one."""
    return {
        **{key: [item for document in documents for item in document[key]] for key in ("rows", "notes", "skipped")},
        "summary": {key: sum(document["summary"][key] for document in documents) for key in ("n", "n_ok")},
    }
