"""Published and measured collectives beside the curves: DeepEP's tables by version, Hopper's and GB200's rows.

Rows that an effective parameter was fitted on carry no verdict and stay out of every median.
"""

from pathlib import Path
from typing import Any

from validation.calibrate import PROFILES_DIR
from validation.collective_knee import knee_rows
from validation.collective_one_sided import one_sided_rows
from validation.collective_rows import group_documents
from validation.collective_tables import table_rows
from validation.collective_versions import low_latency_rows, normal_rows, published
from validation.kernels import read_fitted


def collectives_document(data: Path) -> dict[str, Any]:
    """Return the suite as the JSON document of `validate collectives --json`; InputFaults where a table is missing."""
    facts, fitted = published(), read_fitted(PROFILES_DIR)
    rows = [
        *low_latency_rows(facts),
        *normal_rows(facts),
        *table_rows(data, facts, fitted),
        *one_sided_rows(facts),
        *knee_rows(data, fitted),
    ]
    groups = group_documents(rows)
    judged = [group for group in groups if group["ok"] is not None]
    return {
        "suite": "collectives",
        "groups": groups,
        "rows": [row.document for row in rows],
        "summary": {"n": len(judged), "n_ok": sum(group["ok"] for group in judged)},
        "notes": list(facts["note"]),
        "skipped": list(facts["skipped"]),
    }
