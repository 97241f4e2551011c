"""What one published deployment contributes to the suite: rows with verdicts, notes, and what was skipped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from validation.published_facts import published_facts


@dataclass(frozen=True, kw_only=True)
class Row:
    """One published figure. `tolerance`: largest |predicted / reference − 1|, None for a figure that is reported but
    not judged; `fitted`: a parameter was fitted on it, so that it is not judged either."""

    id: str
    what: str
    predicted: float
    reference: float
    unit: str
    source: str
    tolerance: float | None = None
    fitted: bool = False

    @property
    def rel_error(self) -> float:
        """Signed, a fraction."""
        return self.predicted / self.reference - 1.0

    @property
    def ok(self) -> bool | None:
        """Whether the bar is met; None where nothing is judged."""
        return None if self.tolerance is None or self.fitted else abs(self.rel_error) <= self.tolerance


@dataclass(frozen=True, kw_only=True)
class Part:
    """The rows of one deployment, in the order to be read; `notes` are sentences about what they rest on and what they
    cannot tell; `skipped`: (what, reason)."""

    rows: Sequence[Row]
    notes: Sequence[str] = ()
    skipped: Sequence[tuple[str, str]] = ()


def typed_facts(name: str) -> Mapping[str, Any]:
    """Return the typed facts of `validation/published/clusters/NAME.toml`."""
    return published_facts(f"clusters/{name}")


def part_document(name: str, part: Part) -> dict[str, Any]:
    """Return a part as a JSON document with "rows", "notes", "skipped" and "summary"."""
    rows = [
        {**vars(row), "id": f"{name}: {row.id}", "part": name, "rel_error": row.rel_error, "ok": row.ok}
        for row in part.rows
    ]
    judged = [row["ok"] for row in rows if row["ok"] is not None]
    return {
        "rows": rows,
        "notes": [{"id": name, "text": text} for text in part.notes],
        "skipped": [{"id": f"{name}: {what}", "reason": reason} for what, reason in part.skipped],
        "summary": {"n": len(judged), "n_ok": sum(judged)},
    }
